// The protocol over the W3C's RTCPeerConnection, for stacks that offer that interface. The function refers to nothing outside of itself: the
// adapter of a browser carries its text into the page.
//
//   RTCPeerConnection  the stack's class
//   about              of `stats`: stack, version, cannot; and what the stack has of its own:
//     config           more of the configuration
//     waits            setLocalDescription returns only when gathering is complete
//     before           is given the connection before that
//     bytes            makes of an Uint8Array what the stack sends
//     source           promises a MediaStreamTrack for a track to send; without it, there is no audio and video
//     sink             plays a track that came, of that receiver
//     keyframe         promises that a receiver asks the other side for a key frame
//   say, heard         as in lines.mjs

export function w3c_commands(RTCPeerConnection, about, say, heard) {
    const BUFFER_MAX = 1 << 20, GATHER_MS = 5000, BUFFER_LOOK_MS = 5;
    const channels = new Map(); // number to {dc, before: the sends under way}
    const told = {}, tracks = []; // of tracks: what `track` said, and {transceiver, source}
    let pc, trickle, media = false, incoming = 0, gathering = false, held = null; // held: candidates of a description that was not told yet

    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const loopback = /^(a=)?candidate:\S+ \d \S+ \d+ (127\.|::1 )/;

    function state() {
        const now = { connection: pc.connectionState, ice: pc.iceConnectionState, gathering: pc.iceGatheringState, signaling: pc.signalingState };
        const changed = Object.entries(now).filter(([key, value]) => value !== undefined && told[key] !== value);
        Object.assign(told, Object.fromEntries(changed));
        if (changed.length)
            say('state', Object.fromEntries(changed));
    }

    function candidate(event) {
        const { candidate, sdpMid } = event.candidate ?? {};
        if (!trickle || !gathering || candidate === '' || loopback.test(candidate))
            return;
        gathering = candidate !== undefined; // the last one has no candidate; some stacks tell it twice
        if (held)
            held.push({ candidate: candidate ?? '', sdpMid });
        else
            say('candidate', { candidate: candidate ?? '', sdpMid });
    }

    function watch(dc, channel, label) {
        let opened = false, closed = false;
        const open = () => {
            if (!opened)
                say('open', { channel, label });
            opened = true;
        };
        channels.set(channel, { dc, before: Promise.resolve() });
        dc.binaryType = 'arraybuffer';
        dc.onopen = open;
        dc.onmessage = (event) => {
            open();
            heard(channel, event.data);
        };
        dc.onerror = () => {}; // it is closed, too, which is told
        dc.onclose = () => {
            if (!closed)
                say('close', { channel });
            closed = true;
        };
        if (dc.readyState === 'open')
            open();
    }

    async function gathered() {
        const end = Date.now() + GATHER_MS;
        const change = () => new Promise((resolve) => {
            pc.onicegatheringstatechange = () => {
                state();
                resolve();
            };
        });
        while (pc.iceGatheringState !== 'complete' && Date.now() < end)
            await Promise.race([sleep(end - Date.now()), change()]);
    }

    async function describe(description) {
        held = [];
        gathering = true;
        about.before?.(pc);
        const set = pc.setLocalDescription(description);
        if (about.waits && trickle)
            set.catch((error) => say('error', { text: `setLocalDescription: ${error}`, fatal: false }));
        else
            await set;
        if (!trickle)
            await gathered();
        const sdp = (trickle ? description : pc.localDescription).sdp;
        say('sdp', { type: description.type, sdp: sdp.split('\r\n').filter((line) => !loopback.test(line)).join('\r\n') });
        held.forEach((keys) => say('candidate', keys));
        held = null;
    }

    // Tracks take part by addTrack, so that those of one who answers go into the sections that were offered.
    async function tracks_begin(offering) {
        for (const track of tracks.filter(({ begun }) => !begun)) {
            track.begun = true;
            if (track.send) {
                track.source = await about.source(track);
                const sender = pc.addTrack(track.source);
                track.transceiver = pc.getTransceivers().find((transceiver) => transceiver.sender === sender);
                if (!track.receive)
                    track.transceiver.direction = 'sendonly';
            } else if (offering) {
                track.transceiver = pc.addTransceiver(track.kind, { direction: 'recvonly' });
            }
        }
    }

    // The statistics of each track, by mid where the stack tells it, else the first of their kind go to the first track.
    function track_stats(report, all) {
        const before = { audio: 0, video: 0 };
        return tracks.map(({ kind, transceiver }) => {
            const nth = before[kind]++, mid = transceiver?.mid;
            const of = (type) => {
                const same = all.filter((s) => s.type === type && (s.kind ?? s.mediaType) === kind && !(type === 'track' && !s.remoteSource));
                return same.find((s) => s.mid !== undefined && s.mid === mid) ?? same[nth] ?? {};
            };
            const came = { ...of('track'), ...of('inbound-rtp') }; // older stacks tell some of it of the track
            return {
                in: came, out: of('outbound-rtp'), 'remote-in': of('remote-inbound-rtp'), 'remote-out': of('remote-outbound-rtp'),
                codec: report.get(came.codecId ?? of('outbound-rtp').codecId)?.mimeType?.split('/')[1],
            };
        });
    }

    function find(channel) {
        if (!channels.has(channel))
            throw Error(`no channel ${channel}`);
        return channels.get(channel);
    }

    async function put(dc, { text, data }) {
        const bytes = text === undefined ? Uint8Array.from(atob(data), (c) => c.charCodeAt(0)) : null;
        const size = bytes ? bytes.length : text.length;
        while (dc.readyState === 'connecting' || (dc.bufferedAmount > 0 && dc.bufferedAmount + size > BUFFER_MAX && dc.readyState === 'open'))
            await sleep(BUFFER_LOOK_MS); // connecting: a message has come before its channel's acknowledgement
        dc.send(bytes ? (about.bytes ? about.bytes(bytes) : bytes) : text);
    }

    return {
        init({ iceServers, iceTransportPolicy, trickle: wanted, media: offers_media }) {
            media = offers_media;
            trickle = wanted;
            pc = new RTCPeerConnection({ iceServers, iceTransportPolicy, ...about.config });
            pc.oniceconnectionstatechange = pc.onconnectionstatechange = pc.onicegatheringstatechange = pc.onsignalingstatechange = state;
            pc.onicecandidate = candidate;
            pc.ontrack = ({ track, receiver }) => about.sink?.(track, receiver);
            pc.ondatachannel = ({ channel }) => watch(channel, 2 * incoming++ + 1, channel.label);
        },
        start() {},
        open({ channel, label, protocol, ordered, maxRetransmits, maxPacketLifeTime, negotiated, id }) {
            const options = { protocol, ordered, maxRetransmits, maxPacketLifeTime, negotiated, id };
            const given = Object.entries(options).filter(([, value]) => value !== undefined);
            watch(pc.createDataChannel(label, Object.fromEntries(given)), channel);
        },
        async offer({ restart }) {
            if (media)
                ['audio', 'video'].forEach((kind) => pc.addTransceiver(kind));
            media = false;
            await tracks_begin(true);
            await describe(await pc.createOffer({ iceRestart: restart }));
        },
        async answer({ type, sdp }) {
            if (type === 'offer')
                await tracks_begin(false);
            await pc.setRemoteDescription({ type, sdp });
            if (type === 'offer')
                await describe(await pc.createAnswer());
        },
        candidate: ({ candidate, sdpMid, sdpMLineIndex }) => pc.addIceCandidate({ candidate, sdpMid, sdpMLineIndex }),
        send(command) {
            const channel = find(command.channel);
            channel.before = channel.before.then(() => put(channel.dc, command))
                .catch((error) => say('error', { text: `send: ${error}`, fatal: false }));
        },
        track: (command) => { tracks.push({ ...command }); },
        media({ track, what }) {
            if (what === 'keyframe' && about.keyframe)
                return about.keyframe(tracks[track].transceiver.receiver);
            if (what !== 'mute' && what !== 'unmute')
                throw Error(`no ${what}`);
            tracks[track].source.enabled = what === 'unmute';
        },
        async stats() {
            const { stack, version } = about, cannot = [...about.cannot ?? [], ...about.source ? ['dial', 'bitrate', 'receive-max'] : ['media']];
            if (about.source && !about.keyframe)
                cannot.push('keyframe');
            const keys = { stack, version, cannot, candidates: {} };
            for (const [, type] of (pc.localDescription?.sdp ?? '').matchAll(/^a=candidate:.* typ (\w+)/gm))
                keys.candidates[type] = (keys.candidates[type] ?? 0) + 1;
            const report = await pc.getStats().catch(() => new Map());
            const all = [...report.values()];
            const side = (id) => {
                const s = report.get(id);
                return s && { type: s.candidateType, address: `${s.address ?? s.ip}:${s.port}` };
            };
            const chosen = all.find((s) => s.type === 'transport' && s.selectedCandidatePairId)?.selectedCandidatePairId;
            const pair = report.get(chosen) ?? all.find((s) => s.type === 'candidate-pair' && s.nominated && s.state === 'succeeded');
            if (pair)
                Object.assign(keys, { local: side(pair.localCandidateId), remote: side(pair.remoteCandidateId) });
            if (pair?.availableOutgoingBitrate !== undefined)
                keys.transport = { media: { availableOutgoingBitrate: pair.availableOutgoingBitrate } };
            if (tracks.length)
                keys.tracks = track_stats(report, all);
            say('stats', keys);
        },
        close({ channel }) {
            if (channel === undefined)
                return pc.close();
            const { dc, before } = find(channel);
            before.then(() => dc.close());
        },
    };
}
