// Descriptions that are valid, or wrong in one place, with the clause of the RFC that says so, as
// edits of one description in the style of RFC 9429 7. Every occurrence of `from` becomes `to`.
// What concerns audio and video alone is left out: this stack rejects such sections.
#ifndef STACK_SDP_SDP_CASES_H
#define STACK_SDP_SDP_CASES_H

#include "stack/sdp/sdp.h"

static const char case_base[] = "v=0\r\n"
                                "o=- 4962303333179871722 1 IN IP4 0.0.0.0\r\n"
                                "s=-\r\n"
                                "t=0 0\r\n"
                                "a=ice-options:trickle ice2\r\n"
                                "a=group:BUNDLE a1 v1 d1\r\n"
                                "a=group:LS a1 v1\r\n"
                                "m=audio 10100 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n"
                                "c=IN IP4 203.0.113.100\r\n"
                                "a=mid:a1\r\n"
                                "a=sendrecv\r\n"
                                "a=rtpmap:96 opus/48000/2\r\n"
                                "a=rtpmap:0 PCMU/8000\r\n"
                                "a=rtpmap:8 PCMA/8000\r\n"
                                "a=rtpmap:97 telephone-event/8000\r\n"
                                "a=fmtp:97 0-15\r\n"
                                "a=maxptime:120\r\n"
                                "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
                                "a=extmap:2 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
                                "a=msid:47017fee-b6c1-4162-929c-a25110252400\r\n"
                                "a=ice-ufrag:ETEn\r\n"
                                "a=ice-pwd:OtSK0WpNtpUjkY4+86js7ZQl\r\n"
                                "a=fingerprint:sha-256 "
                                "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:"
                                "A9:0E:05:E9:26:33:E8:70:88:A2\r\n"
                                "a=setup:actpass\r\n"
                                "a=tls-id:91bbf309c0990a6bec11e38ba2933cee\r\n"
                                "a=rtcp:10101 IN IP4 203.0.113.100\r\n"
                                "a=rtcp-mux\r\n"
                                "a=rtcp-rsize\r\n"
                                "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n"
                                "a=candidate:1 2 udp 2113929470 203.0.113.100 10101 typ host\r\n"
                                "a=end-of-candidates\r\n"
                                "m=video 10102 UDP/TLS/RTP/SAVPF 100 103\r\n"
                                "c=IN IP4 203.0.113.100\r\n"
                                "a=mid:v1\r\n"
                                "a=sendrecv\r\n"
                                "a=rtpmap:100 VP8/90000\r\n"
                                "a=rtpmap:103 rtx/90000\r\n"
                                "a=fmtp:103 apt=100\r\n"
                                "a=imageattr:* recv [x=[48:1920],y=[48:1080]]\r\n"
                                "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n"
                                "a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"
                                "a=rtcp-fb:100 ccm fir\r\n"
                                "a=rtcp-fb:100 nack\r\n"
                                "a=rtcp-fb:100 nack pli\r\n"
                                "a=rid:h send\r\n"
                                "a=rid:l send\r\n"
                                "a=simulcast:send h;l\r\n"
                                "a=msid:47017fee-b6c1-4162-929c-a25110252400\r\n"
                                "a=ice-ufrag:BGKk\r\n"
                                "a=ice-pwd:mqyWsAjvtKwTGnvhPztQ9mIf\r\n"
                                "a=fingerprint:sha-256 "
                                "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:"
                                "A9:0E:05:E9:26:33:E8:70:88:A2\r\n"
                                "a=setup:actpass\r\n"
                                "a=tls-id:91bbf309c0990a6bec11e38ba2933cee\r\n"
                                "a=rtcp-mux\r\n"
                                "a=rtcp-rsize\r\n"
                                "a=candidate:1 1 udp 2113929471 203.0.113.100 10102 typ host\r\n"
                                "a=end-of-candidates\r\n"
                                "m=application 10104 UDP/DTLS/SCTP webrtc-datachannel\r\n"
                                "c=IN IP4 203.0.113.100\r\n"
                                "a=mid:d1\r\n"
                                "a=sctp-port:5000\r\n"
                                "a=max-message-size:65536\r\n"
                                "a=ice-ufrag:Uj33\r\n"
                                "a=ice-pwd:pzE6Pr1Y5Y3LAgJ4G1ZmWzq1\r\n"
                                "a=fingerprint:sha-256 "
                                "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:"
                                "A9:0E:05:E9:26:33:E8:70:88:A2\r\n"
                                "a=setup:actpass\r\n"
                                "a=tls-id:91bbf309c0990a6bec11e38ba2933cee\r\n"
                                "a=candidate:1 1 udp 2113929471 203.0.113.100 10104 typ host\r\n"
                                "a=end-of-candidates\r\n";

struct sdp_case {
    const char *id, *clause;
    const char *from, *to, *from2, *to2;
    enum sdp_outcome outcome;
    unsigned error_line;
    const char *check; // what sdp_data_check says; NULL: nothing
};

static const struct sdp_case cases[] = {
    {"version-1", "RFC 9429 5.8.1", "v=0\r\n", "v=1\r\n", NULL, NULL, SDP_BAD_VERSION, 1, NULL},
    {"no-version", "RFC 8866 5", "v=0\r\n", "", NULL, NULL, SDP_MISSING, 7, NULL},
    {"no-origin", "RFC 8866 5.2", "o=- 4962303333179871722 1 IN IP4 0.0.0.0\r\n", "", NULL, NULL,
     SDP_MISSING, 7, NULL},
    {"no-session-name", "RFC 8866 5.3", "s=-\r\n", "", NULL, NULL, SDP_MISSING, 7, NULL},
    {"no-time", "RFC 8866 5.9", "t=0 0\r\n", "", NULL, NULL, SDP_MISSING, 7, NULL},
    {"two-origins", "RFC 8866 5", "o=- 4962303333179871722 1 IN IP4 0.0.0.0\r\n",
     "o=- 4962303333179871722 1 IN IP4 0.0.0.0\r\n"
     "o=- 1 1 IN IP4 0.0.0.0\r\n",
     NULL, NULL, SDP_BAD_ORDER, 3, NULL},
    {"origin-5-fields", "RFC 8866 5.2", "o=- 4962303333179871722 1 IN IP4 0.0.0.0\r\n",
     "o=- 4962303333179871722 1 IN IP4\r\n", NULL, NULL, SDP_BAD_ORIGIN, 2, NULL},
    {"sess-id-not-number", "RFC 8866 5.2", "o=- 4962303333179871722 1 IN IP4 0.0.0.0\r\n",
     "o=- abc 1 IN IP4 0.0.0.0\r\n", NULL, NULL, SDP_BAD_ORIGIN, 2, NULL},
    {"sess-id-huge", "RFC 9429 5.2.1", "o=- 4962303333179871722 1 IN IP4 0.0.0.0\r\n",
     "o=- 99999999999999999999999999 1 IN IP4 0.0.0.0\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"origin-ipv6", "RFC 8866 5.2", "o=- 4962303333179871722 1 IN IP4 0.0.0.0\r\n",
     "o=- 4962303333179871722 1 IN IP6 ::\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"space-around-equals", "RFC 8866 5", "s=-\r\n", "s =-\r\n", NULL, NULL, SDP_BAD_LINE, 3, NULL},
    {"upper-case-type", "RFC 8866 5", "s=-\r\n", "S=-\r\n", NULL, NULL, SDP_BAD_LINE, 3, NULL},
    {"empty-session-name", "RFC 8866 5.3", "s=-\r\n", "s=\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"unknown-session-line", "RFC 8866 5", "t=0 0\r\n",
     "t=0 0\r\n"
     "x=1\r\n",
     NULL, NULL, SDP_BAD_LINE, 5, NULL},
    {"unknown-attribute", "RFC 8866 5.13", "a=maxptime:120\r\n", "a=x-unknown:whatever 1 2 3\r\n",
     NULL, NULL, SDP_OK, 0, NULL},
    {"port-70000", "RFC 8866 5.14", "m=audio 10100 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n",
     "m=audio 70000 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n", NULL, NULL, SDP_BAD_MEDIA, 8, NULL},
    {"port-negative", "RFC 8866 5.14", "m=audio 10100 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n",
     "m=audio -1 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n", NULL, NULL, SDP_BAD_MEDIA, 8, NULL},
    {"port-count", "RFC 8866 5.14", "m=audio 10100 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n",
     "m=audio 10100/2 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"no-fmt", "RFC 8866 5.14", "m=audio 10100 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n",
     "m=audio 10100 UDP/TLS/RTP/SAVPF\r\n", NULL, NULL, SDP_BAD_MEDIA, 8, NULL},
    {"proto-unknown", "RFC 9429 5.3.1", "m=audio 10100 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n",
     "m=audio 10100 FOO/BAR 96 0 8 97\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"proto-savp", "RFC 9429 5.1.2", "m=audio 10100 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n",
     "m=audio 10100 RTP/SAVP 96 0 8 97\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"media-unknown", "RFC 9429 5.3.1", "m=audio 10100 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n",
     "m=haptics 10100 UDP/TLS/RTP/SAVPF 96 0 8 97\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"no-fingerprint", "RFC 9429 5.8.3",
     "a=fingerprint:sha-256 "
     "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:"
     "A2\r\n",
     "", NULL, NULL, SDP_OK, 0, "the data channel section has no fingerprint"},
    {"fingerprint-short", "RFC 8122 5",
     "a=fingerprint:sha-256 "
     "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:"
     "A2\r\n",
     "a=fingerprint:sha-256 "
     "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:"
     "88\r\n",
     NULL, NULL, SDP_BAD_ATTRIBUTE, 23, NULL},
    {"fingerprint-not-hex", "RFC 8122 5",
     "a=fingerprint:sha-256 "
     "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:"
     "A2\r\n",
     "a=fingerprint:sha-256 "
     "ZZ:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:"
     "A2\r\n",
     NULL, NULL, SDP_BAD_ATTRIBUTE, 23, NULL},
    {"fingerprint-lower-case", "RFC 8122 5",
     "a=fingerprint:sha-256 "
     "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:"
     "A2\r\n",
     "a=fingerprint:sha-256 "
     "19:e2:1c:3b:4b:9f:81:e6:b8:5c:f4:a5:a8:d8:73:04:bb:05:2f:70:9f:04:a9:0e:05:e9:26:33:e8:70:88:"
     "a2\r\n",
     NULL, NULL, SDP_OK, 0, NULL},
    {"fingerprint-extra-sha1", "RFC 8122 5", "a=ice-pwd:OtSK0WpNtpUjkY4+86js7ZQl\r\n",
     "a=ice-pwd:OtSK0WpNtpUjkY4+86js7ZQl\r\n"
     "a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\r\n",
     NULL, NULL, SDP_OK, 0, NULL},
    {"ufrag-3", "RFC 8839 5.4", "a=ice-ufrag:ETEn\r\n", "a=ice-ufrag:ETE\r\n", NULL, NULL,
     SDP_BAD_ATTRIBUTE, 21, NULL},
    {"ufrag-bad-char", "RFC 8839 5.4", "a=ice-ufrag:ETEn\r\n", "a=ice-ufrag:ET n\r\n", NULL, NULL,
     SDP_BAD_ATTRIBUTE, 21, NULL},
    {"pwd-21", "RFC 8839 5.4", "a=ice-pwd:OtSK0WpNtpUjkY4+86js7ZQl\r\n",
     "a=ice-pwd:OtSK0WpNtpUjkY4+86js7\r\n", NULL, NULL, SDP_BAD_ATTRIBUTE, 22, NULL},
    {"pwd-22", "RFC 8839 5.4", "a=ice-pwd:OtSK0WpNtpUjkY4+86js7ZQl\r\n",
     "a=ice-pwd:OtSK0WpNtpUjkY4+86js7Z\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"no-ice2", "RFC 9429 3.5.5", "a=ice-options:trickle ice2\r\n", "", NULL, NULL, SDP_OK, 0,
     NULL},
    {"ice-lite", "RFC 9429 5.1.1", "a=ice-options:trickle ice2\r\n",
     "a=ice-lite\r\n"
     "a=ice-options:ice2\r\n",
     NULL, NULL, SDP_OK, 0, NULL},
    {"cand-component-0", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 0 udp 2113929471 203.0.113.100 10100 typ host\r\n", NULL, NULL,
     SDP_BAD_ATTRIBUTE, 29, NULL},
    {"cand-component-257", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 257 udp 2113929471 203.0.113.100 10100 typ host\r\n", NULL, NULL,
     SDP_BAD_ATTRIBUTE, 29, NULL},
    {"cand-priority-0", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 1 udp 0 203.0.113.100 10100 typ host\r\n", NULL, NULL, SDP_BAD_ATTRIBUTE, 29,
     NULL},
    {"cand-priority-2^31", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 1 udp 2147483648 203.0.113.100 10100 typ host\r\n", NULL, NULL,
     SDP_BAD_ATTRIBUTE, 29, NULL},
    {"cand-port-65536", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 65536 typ host\r\n", NULL, NULL,
     SDP_BAD_ATTRIBUTE, 29, NULL},
    {"cand-no-typ", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100\r\n", NULL, NULL, SDP_BAD_ATTRIBUTE, 29,
     NULL},
    {"cand-unknown-typ", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ magic\r\n", NULL, NULL, SDP_OK, 0,
     NULL},
    {"cand-unknown-transport", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 1 dccp 2113929471 203.0.113.100 10100 typ host\r\n", NULL, NULL, SDP_OK, 0,
     NULL},
    {"cand-extensions", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host generation 0 ufrag ETEn "
     "network-id 1 network-cost 10\r\n",
     NULL, NULL, SDP_OK, 0, NULL},
    {"cand-mdns", "RFC 8839 5.1", "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 1 udp 2113929471 1f4712db-ea17-4bcf-a596-105139dfd8bf.local 10100 typ host\r\n",
     NULL, NULL, SDP_OK, 0, NULL},
    {"cand-srflx-raddr", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:2 1 udp 1694498815 198.51.100.7 3478 typ srflx raddr 10.0.1.1 rport 8998\r\n",
     NULL, NULL, SDP_OK, 0, NULL},
    {"cand-srflx-no-raddr", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:2 1 udp 1694498815 198.51.100.7 3478 typ srflx\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"cand-tcp-active", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:3 1 tcp 1518280447 203.0.113.100 9 typ host tcptype active\r\n", NULL, NULL,
     SDP_OK, 0, NULL},
    {"cand-foundation-33", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 1 udp 2113929471 203.0.113.100 10100 typ "
     "host\r\n",
     NULL, NULL, SDP_BAD_ATTRIBUTE, 29, NULL},
    {"cand-ipv6", "RFC 8839 5.1", "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:4 1 udp 2113937151 2001:db8::1 10100 typ host\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"cand-upper-udp", "RFC 8839 5.1",
     "a=candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host\r\n",
     "a=candidate:1 1 UDP 2113929471 203.0.113.100 10100 typ host\r\n", NULL, NULL, SDP_OK, 0,
     NULL},
    {"setup-missing", "RFC 9429 5.8.3", "a=setup:actpass\r\n", "", NULL, NULL, SDP_OK, 0,
     "the data channel section has no a=setup"},
    {"setup-holdconn", "RFC 8842 5.1", "a=setup:actpass\r\n", "a=setup:holdconn\r\n", NULL, NULL,
     SDP_OK, 0, "a=setup:holdconn is not allowed with DTLS"},
    {"setup-passive-offer", "RFC 9429 5.3.1", "a=setup:actpass\r\n", "a=setup:passive\r\n", NULL,
     NULL, SDP_OK, 0, NULL},
    {"mid-duplicate", "RFC 5888 4", "a=mid:v1\r\n", "a=mid:a1\r\n", NULL, NULL, SDP_BAD_ATTRIBUTE,
     34, NULL},
    {"bundle-unknown-mid", "RFC 9143 7.3.1", "a=group:BUNDLE a1 v1 d1\r\n",
     "a=group:BUNDLE a1 v1 zz\r\n", NULL, NULL, SDP_OK, 0,
     "a=group:BUNDLE names a mid that no section has"},
    {"bundle-port-0", "RFC 9143 7.3.1", "m=video 10102 UDP/TLS/RTP/SAVPF 100 103\r\n",
     "m=video 0 UDP/TLS/RTP/SAVPF 100 103\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"bundle-only", "RFC 9143 6",
     "m=video 10102 UDP/TLS/RTP/SAVPF 100 103\r\n"
     "c=IN IP4 203.0.113.100\r\n",
     "m=video 0 UDP/TLS/RTP/SAVPF 100 103\r\n"
     "c=IN IP4 0.0.0.0\r\n"
     "a=bundle-only\r\n",
     NULL, NULL, SDP_OK, 0, NULL},
    {"two-bundle-groups", "RFC 9143 5", "a=group:BUNDLE a1 v1 d1\r\n",
     "a=group:BUNDLE a1 v1\r\n"
     "a=group:BUNDLE v1 d1\r\n",
     NULL, NULL, SDP_BAD_ATTRIBUTE, 7, NULL},
    {"no-sctp-port", "RFC 8841 5.1", "a=sctp-port:5000\r\n", "", NULL, NULL, SDP_OK, 0,
     "the data channel section has no a=sctp-port"},
    {"sctp-port-leading-zero", "RFC 8841 5.2", "a=sctp-port:5000\r\n", "a=sctp-port:05000\r\n",
     NULL, NULL, SDP_BAD_ATTRIBUTE, 61, NULL},
    {"sctp-port-65536", "RFC 8841 5.2", "a=sctp-port:5000\r\n", "a=sctp-port:65536\r\n", NULL, NULL,
     SDP_BAD_ATTRIBUTE, 61, NULL},
    {"sctp-port-0", "RFC 8841 10.3", "a=sctp-port:5000\r\n", "a=sctp-port:0\r\n", NULL, NULL,
     SDP_OK, 0, "a=sctp-port:0 closes the association"},
    {"max-message-size-0", "RFC 8841 6.1", "a=max-message-size:65536\r\n",
     "a=max-message-size:0\r\n", NULL, NULL, SDP_OK, 0, NULL},
    {"sctpmap-old", "RFC 9429 5.1.2", "m=application 10104 UDP/DTLS/SCTP webrtc-datachannel\r\n",
     "m=application 10104 DTLS/SCTP 5000\r\n", "a=sctp-port:5000\r\n",
     "a=sctpmap:5000 webrtc-datachannel 1024\r\n", SDP_OK, 0, NULL},
    {"attr-at-session", "RFC 9429 5.2.1", "a=group:LS a1 v1\r\n",
     "a=group:LS a1 v1\r\n"
     "a=setup:actpass\r\n"
     "a=fingerprint:sha-256 "
     "19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:"
     "A2\r\n",
     NULL, NULL, SDP_OK, 0, NULL},
};

#endif
