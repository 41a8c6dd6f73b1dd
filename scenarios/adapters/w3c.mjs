// PROTOCOL.md over the W3C's RTCPeerConnection, for stacks that offer that interface. The function refers to nothing outside of itself: the
// adapter of a browser carries its text into the page.
//
//   RTCPeerConnection  the stack's class
//   about              keys of `ready`; config: more of the configuration; waits: setLocalDescription returns only when gathering is complete;
//                      before: gets the connection before that; send: makes of an Uint8Array what the stack sends
//   say, heard         as in lines.mjs

export function w3c_commands(RTCPeerConnection, about, say, heard) {
    const BUFFER_MAX = 1 << 20, GATHER_MS = 5000, BUFFER_LOOK_MS = 5;
    const channels = new Map(); // label to {dc, before: the sends under way}
    const told = {};
    let pc, trickle, gathering = false, held = null; // held: candidates of a description that was not said yet

    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const loopback = /^(a=)?candidate:\S+ \d \S+ \d+ (127\.|::1 )/;

    function state() {
        const now = { ice: pc.iceConnectionState, connection: pc.connectionState, gathering: pc.iceGatheringState, signaling: pc.signalingState };
        const changed = Object.entries(now).filter(([key, value]) => value !== undefined && told[key] !== value);
        Object.assign(told, Object.fromEntries(changed));
        if (changed.length)
            say({ is: 'state', ...Object.fromEntries(changed) });
    }

    function candidate(event) {
        const { candidate, sdpMid } = event.candidate ?? {};
        if (!trickle || !gathering || candidate === '' || loopback.test(candidate))
            return;
        gathering = candidate !== undefined; // the last one has no candidate; some stacks tell it twice
        const line = { is: 'candidate', candidate: candidate ?? '', mid: sdpMid ?? '0' };
        if (held)
            held.push(line);
        else
            say(line);
    }

    function watch(dc, incoming) {
        const channel = dc.label;
        let opened = false, reason;
        const open = () => {
            if (!opened)
                say({ is: 'open', channel, incoming });
            opened = true;
        };
        channels.set(channel, { dc, before: Promise.resolve() });
        dc.binaryType = 'arraybuffer';
        dc.onopen = open;
        dc.onmessage = (event) => {
            open();
            heard(channel, event.data);
        };
        dc.onerror = (event) => { reason = String(event?.error?.message ?? event?.message ?? 'error'); };
        dc.onclose = () => say({ is: 'closed', channel, reason });
        if (dc.readyState === 'open')
            open();
    }

    function create(list) {
        for (const { label, ...options } of list ?? [])
            watch(pc.createDataChannel(label, options), false);
    }

    async function complete() {
        const end = Date.now() + GATHER_MS;
        while (pc.iceGatheringState !== 'complete' && Date.now() < end)
            await Promise.race([sleep(end - Date.now()), new Promise((resolve) => { pc.onicegatheringstatechange = () => { state(); resolve(); }; })]);
    }

    async function describe(description) {
        held = [];
        gathering = true;
        about.before?.(pc);
        const set = pc.setLocalDescription(description);
        if (about.waits && trickle)
            set.catch((error) => say({ is: 'error', text: `setLocalDescription: ${error}` }));
        else
            await set;
        if (!trickle)
            await complete();
        const sdp = (trickle ? description : pc.localDescription).sdp;
        setTimeout(() => { // when the answer has been said
            held.forEach(say);
            held = null;
        }, 0);
        return { is: 'sdp', type: description.type, sdp: sdp.split('\r\n').filter((line) => !loopback.test(line)).join('\r\n') };
    }

    function pattern(n, size) {
        const bytes = new Uint8Array(size);
        for (let i = 0; i < size; i++)
            bytes[i] = i < 4 ? n >>> (24 - 8 * i) : n + i;
        return bytes;
    }

    const bytes_for = about.send ?? ((bytes) => bytes);

    async function put(dc, { text, base64, count, size }) {
        if (text !== undefined || base64 !== undefined) {
            dc.send(text ?? bytes_for(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))));
            return 1;
        }
        for (let n = 0; n < count; n++) {
            while (dc.bufferedAmount > 0 && dc.bufferedAmount + size > BUFFER_MAX && dc.readyState === 'open')
                await sleep(BUFFER_LOOK_MS);
            dc.send(bytes_for(pattern(n, size)));
        }
        return count;
    }

    function find(label) {
        if (!channels.has(label))
            throw Error(`no channel '${label}'`);
        return channels.get(label);
    }

    return {
        init({ ice_servers, policy, trickle: wanted }) {
            trickle = wanted ?? true;
            pc = new RTCPeerConnection({ iceServers: ice_servers ?? [], iceTransportPolicy: policy ?? 'all', ...about.config });
            pc.oniceconnectionstatechange = pc.onconnectionstatechange = pc.onicegatheringstatechange = pc.onsignalingstatechange = state;
            pc.onicecandidate = candidate;
            pc.ondatachannel = (event) => watch(event.channel, true);
            const can = { trickle: true, restart: true, maxRetransmits: true, maxPacketLifeTime: true, unordered: true, negotiated: true, relay: true };
            return { is: 'ready', stack: about.stack, version: about.version, can: { ...can, ...about.can }, max_message: about.max_message };
        },
        async offer({ channels }) {
            create(channels);
            return describe(await pc.createOffer());
        },
        async answer({ sdp, channels }) {
            await pc.setRemoteDescription({ type: 'offer', sdp });
            create(channels);
            return describe(await pc.createAnswer());
        },
        accept: ({ sdp }) => pc.setRemoteDescription({ type: 'answer', sdp }).then(() => undefined),
        candidate: ({ candidate, mid }) => pc.addIceCandidate({ candidate, sdpMid: mid }).then(() => undefined),
        async restart() {
            return describe(await pc.createOffer({ iceRestart: true }));
        },
        open: ({ channel }) => create([channel]),
        send(command) {
            const channel = find(command.channel);
            const work = channel.before.then(() => put(channel.dc, command));
            channel.before = work.catch(() => {});
            return work.then((sent) => ({ sent }));
        },
        async stats() {
            const report = await pc.getStats(), line = { is: 'stats' };
            const all = [...report.values()];
            const side = (id) => {
                const s = report.get(id);
                return s && { type: s.candidateType, address: s.address ?? s.ip, port: s.port, protocol: s.relayProtocol ?? s.protocol };
            };
            const chosen = all.find((s) => s.type === 'transport' && s.selectedCandidatePairId)?.selectedCandidatePairId;
            const pair = report.get(chosen) ?? all.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
            if (pair) {
                Object.assign(line, { local: side(pair.localCandidateId), remote: side(pair.remoteCandidateId) });
                if (pair.currentRoundTripTime !== undefined)
                    line.rtt_ms = pair.currentRoundTripTime * 1000;
            }
            const data = all.filter((s) => s.type === 'data-channel');
            for (const [key, from] of [['bytes_sent', 'bytesSent'], ['bytes_received', 'bytesReceived'], ['messages_sent', 'messagesSent'], ['messages_received', 'messagesReceived']])
                if (data.some((s) => s[from] !== undefined))
                    line[key] = data.reduce((sum, s) => sum + (s[from] ?? 0), 0);
            return line;
        },
        async close({ channel }) {
            if (channel === undefined)
                return void await pc?.close();
            const { dc, before } = find(channel);
            await before;
            dc.close();
        },
    };
}
