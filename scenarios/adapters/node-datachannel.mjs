#!/usr/bin/env node
// node-datachannel: libdatachannel with libjuice and usrsctp, by its own interface.
import { heard, load, say, serve } from './lines.mjs';

const BUFFER_MAX = 1 << 20, GATHER_MS = 5000, BUFFER_LOOK_MS = 5;
const { stack, version } = load('node-datachannel');
const channels = new Map(); // label to {dc, before: the sends under way}
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let pc, trickle, held = null, described; // held: candidates of a description that was not said yet

function watch(dc, incoming) {
    const channel = dc.getLabel();
    let opened = false, closed = false;
    const open = () => {
        if (!opened)
            say({ is: 'open', channel, incoming });
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
            say({ is: 'closed', channel });
        closed = true;
    });
    dc.onError((text) => console.error(`${channel}: ${text}`));
    if (dc.isOpen())
        open();
}

function create(list) {
    for (const { label, ordered = true, ...options } of list ?? [])
        watch(pc.createDataChannel(label, { unordered: !ordered, ...options }), false);
}

// One of ice_servers as the library wants it: turn servers taken apart, so that no character of a password needs escaping.
function server({ urls, username, credential }) {
    const [, scheme, hostname, port, tcp] = urls.match(/^(stuns?|turns?):(.*?)(?::(\d+))?(?:\?transport=(?:udp|(tcp)))?$/);
    if (scheme.startsWith('stun'))
        return `${scheme}:${hostname}:${port ?? 3478}`;
    const relayType = scheme === 'turns' ? 'TurnTls' : tcp ? 'TurnTcp' : 'TurnUdp';
    return { hostname, port: Number(port ?? 3478), username, password: credential, relayType };
}

async function describe(type) {
    held = [];
    const said = new Promise((resolve) => { described = resolve; });
    pc.setLocalDescription(type);
    let { sdp } = await said;
    if (!trickle) {
        for (const end = Date.now() + GATHER_MS; pc.gatheringState() !== 'complete' && Date.now() < end;)
            await sleep(BUFFER_LOOK_MS);
        ({ sdp } = pc.localDescription());
    }
    setTimeout(() => { // when the answer has been said
        held.forEach(say);
        held = null;
    }, 0);
    return { is: 'sdp', type, sdp };
}

function candidate(candidate, mid) {
    const line = { is: 'candidate', candidate: candidate.replace(/^a=/, ''), mid };
    if (!trickle)
        return;
    if (held)
        held.push(line);
    else
        say(line);
}

function pattern(n, size) {
    const bytes = Buffer.alloc(size);
    for (let i = 0; i < size; i++)
        bytes[i] = i < 4 ? n >>> (24 - 8 * i) : n + i;
    return bytes;
}

async function put(dc, { text, base64, count, size }) {
    if (text !== undefined || base64 !== undefined) {
        text !== undefined ? dc.sendMessage(text) : dc.sendMessageBinary(Buffer.from(base64, 'base64'));
        return 1;
    }
    for (let n = 0; n < count; n++) {
        while (dc.isOpen() && dc.bufferedAmount() > 0 && dc.bufferedAmount() + size > BUFFER_MAX)
            await sleep(BUFFER_LOOK_MS);
        dc.sendMessageBinary(pattern(n, size));
    }
    return count;
}

function find(label) {
    if (!channels.has(label))
        throw Error(`no channel '${label}'`);
    return channels.get(label);
}

serve({
    init({ name, ice_servers, policy, trickle: wanted }) {
        trickle = wanted ?? true;
        pc = new stack.PeerConnection(name ?? 'peer', { iceServers: (ice_servers ?? []).map(server), iceTransportPolicy: policy ?? 'all', disableAutoNegotiation: true, maxMessageSize: 262144 });
        pc.onLocalDescription((sdp, type) => described({ sdp, type }));
        pc.onLocalCandidate(candidate);
        pc.onIceStateChange((ice) => say({ is: 'state', ice }));
        pc.onStateChange((connection) => say({ is: 'state', connection }));
        pc.onSignalingStateChange((signaling) => say({ is: 'state', signaling }));
        pc.onGatheringStateChange((gathering) => {
            say({ is: 'state', gathering });
            if (gathering === 'complete')
                candidate('', '0');
        });
        pc.onDataChannel((dc) => watch(dc, true));
        const can = { trickle: true, restart: false, maxRetransmits: true, maxPacketLifeTime: true, unordered: true, negotiated: true, relay: true };
        return { is: 'ready', stack: 'node-datachannel', version, can, max_message: 262144 };
    },
    offer({ channels }) {
        create(channels);
        return describe('offer');
    },
    answer({ sdp, channels }) {
        pc.setRemoteDescription(sdp, 'offer');
        create(channels);
        return describe('answer');
    },
    accept: ({ sdp }) => pc.setRemoteDescription(sdp, 'answer'),
    candidate: ({ candidate, mid }) => candidate && pc.addRemoteCandidate(candidate, mid) || undefined,
    restart() {
        throw Error('libdatachannel cannot restart ICE');
    },
    open: ({ channel }) => create([channel]),
    send(command) {
        const channel = find(command.channel);
        const work = channel.before.then(() => put(channel.dc, command));
        channel.before = work.catch(() => {});
        return work.then((sent) => ({ sent }));
    },
    stats() {
        const pair = pc.getSelectedCandidatePair(), line = { is: 'stats', bytes_sent: pc.bytesSent(), bytes_received: pc.bytesReceived() };
        const side = ({ type, address, port, transportType }) => ({ type, address, port, protocol: transportType.toLowerCase().replace(/^tcp.*/, 'tcp') });
        if (pair)
            Object.assign(line, { local: side(pair.local), remote: side(pair.remote) });
        if (pc.rtt() >= 0)
            line.rtt_ms = pc.rtt();
        return line;
    },
    async close({ channel }) {
        if (channel === undefined)
            return pc?.close();
        const { dc, before } = find(channel);
        await before;
        dc.close();
    },
});
