# The default image carries the extra `reports` (Evidently, scikit-learn); `--target slim` does without.
# Both run as a user without rights, need no writable root, and keep what they know in /var/lib/anchorwatch.

FROM python:3.11.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=/src/constraints.txt
WORKDIR /src
RUN python -m venv /opt/anchorwatch
ENV PATH=/opt/anchorwatch/bin:$PATH
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY monitor monitor
COPY alerts alerts
COPY dashboards dashboards
COPY examples examples
RUN pip install . && python -m compileall -q /opt/anchorwatch

FROM build AS build-reports
# Every version is held by constraints.txt.
# hadolint ignore=DL3013
RUN pip install ".[reports]" && python -m compileall -q /opt/anchorwatch

FROM python:3.11.11-slim-bookworm AS runtime
LABEL org.opencontainers.image.title="Anchorwatch" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin anchorwatch \
    && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/anchorwatch
ENV PATH=/opt/anchorwatch/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /var/lib/anchorwatch
USER 10001:10001
VOLUME ["/var/lib/anchorwatch"]
EXPOSE 9877 9878
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9877/livez', timeout=2)"]
ENTRYPOINT ["anchorwatch"]
CMD ["run", "-c", "/etc/anchorwatch/anchorwatch.yml"]

FROM runtime AS slim
COPY --from=build /opt/anchorwatch /opt/anchorwatch

FROM runtime AS default
COPY --from=build-reports /opt/anchorwatch /opt/anchorwatch
