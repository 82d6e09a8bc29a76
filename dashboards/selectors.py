"""Which series the panels about one model ask for."""

MODEL = 'app="$app", model="$model"'
VERSION = f'{MODEL}, version=~"$version"'
RATE = "[$__rate_interval]"
