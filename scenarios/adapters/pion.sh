#!/bin/sh
# pion: the program that ci/live-deps builds of pion.go.
to=${SIMRTC_LIVE_DEPS:-$(dirname "$(readlink -f "$0")")/../../build/live-deps}
[ ! -x "$to/pion/pion" ] || exec "$to/pion/pion"
echo '{"event": "unsupported", "install": "ci/live-deps all"}'
exit 127
