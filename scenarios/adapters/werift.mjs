#!/usr/bin/env node
// werift: WebRTC written in TypeScript.
import { heard, load, say, serve } from './lines.mjs';
import { w3c_commands } from './w3c.mjs';

const { stack, version } = load('werift');

// Without a STUN server it would ask one of Google's, by name.
let connection;
function no_stun_by_default(pc) {
    connection = pc;
    if (!pc.getConfiguration().iceServers.some(({ urls }) => urls.startsWith('stun:')))
        pc.iceTransports.forEach(({ connection }) => { connection.stunServer = undefined; });
}

// What it is known to do (stacks.yml), told to the log once it has lasted.
const LASTS_MS = 3000;
const since = new Map();
function look_at(what, is_so) {
    if (!is_so)
        return since.delete(what);
    if (!since.has(what))
        since.set(what, Date.now());
    if (Date.now() - since.get(what) < LASTS_MS)
        return;
    console.error(`werift: ${what}`);
    since.set(what, Infinity);
}

// sctp.js 1637: popMessages gives out no further message once it gave one and the next is not adjacent to it, so that messages whose fragments came
// out of order stay until another chunk of their stream comes.
function look_at_streams(pc) {
    const UNORDERED = 4, FIRST = 2, LAST = 1;
    const is_ready = (stream) => stream.reassembly.some((chunk, i, all) => {
        let last = i;
        while (!(all[last].flags & LAST) && all[last + 1]?.tsn === all[last].tsn + 1)
            last++;
        return chunk.flags & FIRST && all[last].flags & LAST && (chunk.flags & UNORDERED || chunk.streamSeqNum === stream.streamSequenceNumber);
    });
    look_at('a message that came whole is not given out', Object.values(pc.sctpTransport?.sctp.inboundStreams ?? {}).some(is_ready));
}

// ice.js 909: a relayed candidate that is gathered after the other side's candidates came is paired with none of them: pairLocalProtocol is called for
// the others alone. ice.js 652: a restart forgets the nominated pair, and what is sent until there is another is dropped (RFC 8445 9 keeps it); it
// then gathers no server reflexive candidate, as its sockets are there already (791), and as answerer it checks nothing by itself.
function look_at_pairs(pc) {
    for (const { connection: ice } of pc.iceTransports) {
        const relays = ice.protocols.filter(({ localCandidate }) => localCandidate?.type === 'relay');
        look_at('its relayed candidate is in no pair',
            ice.checkList.length > 0 && relays.some((relay) => ice.checkList.every(({ protocol }) => protocol !== relay)));
        look_at('no pair is nominated since the ICE restart', ice.generation > 0 && !ice.nominated);
    }
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
const commands = w3c_commands(stack.RTCPeerConnection, about, say, heard);
const { stats } = commands;
commands.stats = async (command) => {
    if (connection) {
        look_at_streams(connection);
        look_at_pairs(connection);
    }
    await stats(command);
};
serve(commands);
