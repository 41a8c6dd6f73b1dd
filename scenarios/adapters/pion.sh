#!/bin/sh
# pion: the program that ci/live-deps builds of pion.go.
to=${SIMRTC_LIVE_DEPS:-$(dirname "$(readlink -f "$0")")/../../build/live-deps}
export PION_LOG_WARN=${PION_LOG_WARN-dtls,sctp} # to stderr
[ ! -x "$to/pion/pion" ] || exec "$to/pion/pion"
echo '{"event": "unsupported", "install": "ci/live-deps all"}'
exit 127
