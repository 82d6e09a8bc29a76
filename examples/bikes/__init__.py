"""The example service: hourly demand for rental bikes, predicted over HTTP and watched by Anchorwatch."""
