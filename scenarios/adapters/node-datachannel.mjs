#!/usr/bin/env node
// node-datachannel: libdatachannel with libjuice and usrsctp, by its own interface.
import { heard, load, say, serve } from './lines.mjs';

const BUFFER_MAX = 1 << 20, GATHER_MS = 5000, LOOK_MS = 5;
const { stack, version } = load('node-datachannel');
const channels = new Map(); // number to {dc, before: the sends under way}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let pc, trickle, incoming = 0, held = null, described; // held: candidates of a description that was not told yet

function watch(dc, channel, label) {
    let opened = false, closed = false;
    const open = () => {
        if (!opened)
            say('open', { channel, label });
        opened = true;
    };
    channels.set(channel, { dc, before: Promise.resolve() });
    dc.onOpen(open);
    dc.onMessage((data) => {
        open();
        heard(channel, data);
    });
    dc.onClosed(() => {
        if (!closed)
            say('close', { channel });
        closed = true;
    });
    dc.onError((text) => console.error(`channel ${channel}: ${text}`));
    if (dc.isOpen())
        open();
}

// One of iceServers as the library wants it: turn servers taken apart, so that no character of a password needs escaping.
function server({ urls, username, credential }) {
    const [, scheme, hostname, port, tcp] = urls.match(/^(stuns?|turns?):(.*?)(?::(\d+))?(?:\?transport=(?:udp|(tcp)))?$/);
    if (scheme.startsWith('stun'))
        return `${scheme}:${hostname}:${port ?? 3478}`;
    const relayType = scheme === 'turns' ? 'TurnTls' : tcp ? 'TurnTcp' : 'TurnUdp';
    return { hostname, port: Number(port ?? 3478), username, password: credential, relayType };
}

async function describe(type) {
    held = [];
    const made = new Promise((resolve) => { described = resolve; });
    pc.setLocalDescription(type);
    let sdp = await made;
    if (!trickle) {
        for (const end = Date.now() + GATHER_MS; pc.gatheringState() !== 'complete' && Date.now() < end;)
            await sleep(LOOK_MS);
        ({ sdp } = pc.localDescription());
    }
    say('sdp', { type, sdp });
    held.forEach((candidate) => say('candidate', { candidate }));
    held = null;
}

function candidate(text) {
    const candidate = text.replace(/^a=/, '');
    if (trickle && held)
        held.push(candidate);
    else if (trickle)
        say('candidate', { candidate });
}

async function put(dc, { text, data }) {
    const bytes = text === undefined ? Buffer.from(data, 'base64') : null;
    while (dc.isOpen() && dc.bufferedAmount() > 0 && dc.bufferedAmount() + (bytes ?? text).length > BUFFER_MAX)
        await sleep(LOOK_MS);
    bytes ? dc.sendMessageBinary(bytes) : dc.sendMessage(text);
}

function find(channel) {
    if (!channels.has(channel))
        throw Error(`no channel ${channel}`);
    return channels.get(channel);
}

serve({
    init({ name, iceServers, iceTransportPolicy, trickle: wanted }) {
        trickle = wanted;
        pc = new stack.PeerConnection(name, { iceServers: iceServers.map(server), iceTransportPolicy, disableAutoNegotiation: true, maxMessageSize: 262144 });
        pc.onLocalDescription((sdp) => described(sdp));
        pc.onLocalCandidate(candidate);
        pc.onIceStateChange((ice) => say('state', { ice }));
        pc.onStateChange((connection) => say('state', { connection }));
        pc.onSignalingStateChange((signaling) => say('state', { signaling }));
        pc.onGatheringStateChange((gathering) => {
            say('state', { gathering });
            if (gathering === 'complete')
                candidate('');
        });
        pc.onDataChannel((dc) => watch(dc, 2 * incoming++ + 1, dc.getLabel()));
    },
    start() {},
    open({ channel, label, ordered, protocol, maxRetransmits, maxPacketLifeTime, negotiated, id }) {
        const options = { unordered: ordered === false, protocol, maxRetransmits, maxPacketLifeTime, negotiated, id };
        const given = Object.entries(options).filter(([, value]) => value !== undefined);
        watch(pc.createDataChannel(label, Object.fromEntries(given)), channel);
    },
    async offer({ restart }) {
        if (restart)
            throw Error('libdatachannel cannot restart ICE');
        await describe('offer');
    },
    async answer({ type, sdp }) {
        pc.setRemoteDescription(sdp, type);
        if (type === 'offer')
            await describe('answer');
    },
    candidate({ candidate, sdpMid }) {
        if (candidate)
            pc.addRemoteCandidate(candidate, sdpMid);
    },
    send(command) {
        const channel = find(command.channel);
        channel.before = channel.before.then(() => put(channel.dc, command))
            .catch((error) => say('error', { text: `send: ${error.message}`, fatal: false }));
    },
    stats() {
        const keys = { stack: 'node-datachannel', version, cannot: ['restart', 'turn-tcp', 'media'], candidates: {} };
        for (const [, type] of (pc.localDescription()?.sdp ?? '').matchAll(/^a=candidate:.* typ (\w+)/gm))
            keys.candidates[type] = (keys.candidates[type] ?? 0) + 1;
        const pair = pc.getSelectedCandidatePair(), side = ({ type, address, port }) => ({ type, address: `${address}:${port}` });
        if (pair)
            Object.assign(keys, { local: side(pair.local), remote: side(pair.remote) });
        say('stats', keys);
    },
    close({ channel }) {
        if (channel === undefined)
            return pc.close();
        const { dc, before } = find(channel);
        before.then(() => dc.close());
    },
});
