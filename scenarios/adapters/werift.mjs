#!/usr/bin/env node
// werift: WebRTC written in TypeScript.
import { heard, load, say, serve } from './lines.mjs';
import { w3c_commands } from './w3c.mjs';

const { stack, version } = load('werift');

// Without a STUN server it would ask one of Google's, by name.
function no_stun_by_default(pc) {
    if (!pc.getConfiguration().iceServers.some(({ urls }) => urls.startsWith('stun:')))
        pc.iceTransports.forEach(({ connection }) => { connection.stunServer = undefined; });
}

const about = {
    stack: 'werift', version,
    // Without max-bundle it offers a transport for each section, and takes that of the first for the whole group of the
    // answer, even where that section is rejected and no member (0.24.4, peerConnection.js 869; RFC 9143 7.3.1).
    config: { iceUseIpv6: false, bundlePolicy: 'max-bundle' },
    waits: true,
    before: no_stun_by_default,
    bytes: (bytes) => Buffer.from(bytes.buffer), // it takes no other kind
};
serve(w3c_commands(stack.RTCPeerConnection, about, say, heard));
