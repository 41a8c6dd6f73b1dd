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
    config: { iceUseIpv6: false },
    waits: true,
    before: no_stun_by_default,
    bytes: (bytes) => Buffer.from(bytes.buffer), // it takes no other kind
};
serve(w3c_commands(stack.RTCPeerConnection, about, say, heard));
