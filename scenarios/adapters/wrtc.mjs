#!/usr/bin/env node
// @roamhq/wrtc: Google's libwebrtc, as a library of node.
import { heard, load, say, serve } from './lines.mjs';
import { w3c_commands } from './w3c.mjs';

const { stack, version } = load('@roamhq/wrtc');
serve(w3c_commands(stack.RTCPeerConnection, { stack: 'wrtc', version }, say, heard));
