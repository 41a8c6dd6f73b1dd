#!/usr/bin/env node
// werift: WebRTC written in TypeScript.
import { heard, load, say, serve } from './lines.mjs';
import { w3c_commands } from './w3c.mjs';

const { stack, version } = load('werift');
const about = {
    stack: 'werift', version, max_message: 65536,
    waits: true,
    config: { iceUseIpv6: false },
    send: (bytes) => Buffer.from(bytes.buffer), // it takes no other kind of bytes
};
serve(w3c_commands(stack.RTCPeerConnection, about, say, heard));
