#!/usr/bin/python3
"""The protocol for aiortc (with aioice), WebRTC written in Python. It tells all candidates at once, and cannot restart ICE."""
import asyncio
import array
import base64
import json
import logging
import math
import os
import re
import sys
import traceback
from collections import Counter

LINE_MAX, BUFFER_MAX, BUFFER_LOOK_S = 1 << 20, 1 << 20, 0.005
lines = os.fdopen(os.dup(1), "w", encoding="utf-8")  # stdout is for lines alone
os.dup2(2, 1)


def say(event, **keys):
    lines.write(json.dumps({"event": event, **keys}) + "\n")
    lines.flush()


try:
    sys.path.pop(0)  # this folder, where this file has the same name
    import aiortc
    import av
    from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
    from aiortc.sdp import candidate_from_sdp
except ImportError:
    traceback.print_exc()
    say("unsupported", install="ci/live-deps all")
    sys.exit(127)

COMMANDS = ("init", "start", "open", "offer", "answer", "candidate", "send", "stats", "close", "track", "media")
CHANNEL_KEYS = ("label", "ordered", "maxRetransmits", "maxPacketLifeTime", "negotiated", "id", "protocol")
STATES = {"ice": "iceConnectionState", "connection": "connectionState", "gathering": "iceGatheringState", "signaling": "signalingState"}


TONE_HZ = 440
logging.basicConfig(level=logging.WARNING)

class Video(VideoStreamTrack):
    """A bar that moves."""

    def __init__(self, width, height, **_):
        super().__init__()
        self.size, self.count, self.muted = (width, height), 0, False

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame(*self.size, "yuv420p")
        for plane, level in zip(frame.planes, (64, 128, 128)):
            row = bytearray([level]) * plane.line_size
            if level == 64 and not self.muted:
                at = 4 * self.count % self.size[0]
                row[at:at + 16] = bytearray([235]) * len(row[at:at + 16])
            plane.update(bytes(row) * (plane.buffer_size // plane.line_size))
        self.count += 1
        frame.pts, frame.time_base = pts, time_base
        return frame


class Audio(AudioStreamTrack):
    """A tone."""

    muted = False

    async def recv(self):
        frame = await super().recv()
        if not self.muted:
            wave = (int(8000 * math.sin(2 * math.pi * TONE_HZ * (frame.pts + i) / frame.sample_rate)) for i in range(frame.samples))
            frame.planes[0].update(array.array("h", wave).tobytes().ljust(frame.planes[0].buffer_size, b"\0"))
        return frame


class Track:
    """What `track` said, and what is counted here, since aiortc counts only packets."""

    def __init__(self, kind, send, receive, **keys):
        self.kind, self.send, self.receive, self.keys = kind, send, receive, keys
        self.transceiver = self.source = None
        self.came, self.went = Counter(), Counter()

    def begin(self, pc, offering):
        if self.transceiver:
            return
        if self.send:
            self.source = Video(**self.keys) if self.kind == "video" else Audio()
            sender = pc.addTrack(self.source)
            self.transceiver = next(t for t in pc.getTransceivers() if t.sender is sender)
            self.transceiver.direction = "sendrecv" if self.receive else "sendonly"
        elif offering:
            self.transceiver = pc.addTransceiver(self.kind, direction="recvonly")
        else:
            return
        self.watch(self.transceiver)

    def watch(self, transceiver):
        """aiortc has no statistics of these: they are counted where it does them."""
        def counting(owner, name, counts, member):
            done = getattr(owner, name)

            def count(*arguments, **named):
                counts[member] += 1
                return done(*arguments, **named)

            setattr(owner, name, count)

        counting(transceiver.receiver, "_send_rtcp_nack", self.came, "nackCount")
        counting(transceiver.receiver, "_send_rtcp_pli", self.came, "pliCount")
        counting(transceiver.sender, "_retransmit", self.went, "retransmittedPacketsSent")
        counting(transceiver.sender, "_send_keyframe", self.went, "pliCount")
        if self.kind == "video":
            put = transceiver.receiver._RTCRtpReceiver__decoder_queue.put

            def decode(task):  # RFC 6386 9.1: bit 0 says that it is no key frame
                if task and task[0].name.upper() == "VP8" and task[1].data and not task[1].data[0] & 1:
                    self.came["keyFramesDecoded"] += 1
                put(task)

            transceiver.receiver._RTCRtpReceiver__decoder_queue.put = decode

    async def play(self, track):
        while True:
            try:
                frame = await track.recv()
            except aiortc.mediastreams.MediaStreamError:
                return
            if self.kind == "video":
                self.came["framesDecoded"] += 1
                self.came["frameWidth"], self.came["frameHeight"] = frame.width, frame.height
            else:
                self.came["totalSamplesReceived"] += frame.samples * 48000 // frame.sample_rate

    def streams(self):
        """Without those of retransmissions."""
        receiver = self.transceiver.receiver
        rtx = receiver._RTCRtpReceiver__rtx_ssrc
        return {ssrc: s for ssrc, s in receiver._RTCRtpReceiver__remote_streams.items() if ssrc not in rtx}

    async def stats(self):
        if not self.transceiver:
            return {}
        came, went = dict(self.came), dict(self.went)
        for ssrc, stream in self.streams().items():
            came.update(ssrc=ssrc, packetsReceived=stream.packets_received, packetsLost=stream.packets_lost,
                        jitter=stream.jitter / (90000 if self.kind == "video" else 48000))
        for s in (await self.transceiver.sender.getStats()).values():
            if s.type == "outbound-rtp":
                went.update(ssrc=s.ssrc, packetsSent=s.packetsSent, bytesSent=s.bytesSent)
        return {"in": came, "out": went}


class Peer:
    def __init__(self):
        self.tracks = []
        self.pc = None
        self.channels = {}  # number to the channel
        self.before = {}  # number to its latest send
        self.incoming = 0

    def find(self, channel):
        if channel not in self.channels:
            raise ValueError(f"no channel {channel}")
        return self.channels[channel]

    def watch(self, dc, channel, **label):
        opened = []

        def open_once():
            if not opened:
                say("open", channel=channel, **label)
            opened.append(True)

        def message(data):
            open_once()
            if isinstance(data, str):
                say("message", channel=channel, text=data)
            else:
                say("message", channel=channel, data=base64.b64encode(data).decode())

        self.channels[channel] = dc
        dc.on("open", open_once)
        dc.on("message", message)
        dc.on("close", lambda: say("close", channel=channel))
        if dc.readyState == "open":
            open_once()

    def watch_incoming(self, dc):
        self.incoming += 1
        self.watch(dc, 2 * self.incoming - 1, label=dc.label)

    async def describe(self, description):
        await self.pc.setLocalDescription(description)  # gathers
        say("sdp", type=self.pc.localDescription.type, sdp=self.pc.localDescription.sdp)

    async def init(self, iceServers, media=False, **_):
        self.offers_media = media
        self.pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration([aiortc.RTCIceServer(**server) for server in iceServers]))
        for key, attribute in STATES.items():
            self.pc.on(attribute.lower() + "change", lambda key=key, attribute=attribute: say("state", **{key: getattr(self.pc, attribute)}))
        self.pc.on("datachannel", self.watch_incoming)
        self.pc.on("track", self.watch_track)

    def watch_track(self, got):
        transceiver = next(t for t in self.pc.getTransceivers() if t.receiver.track is got)
        free = [t for t in self.tracks if t.kind == got.kind and t.transceiver in (None, transceiver)]
        track = next((t for t in free if t.transceiver), free[0] if free else None)
        if track and not track.transceiver:
            track.transceiver = transceiver
            track.watch(transceiver)
        asyncio.ensure_future((track or Track(got.kind, False, True)).play(got))

    async def track(self, track, **keys):
        self.tracks.append(Track(**keys))

    async def media(self, track, what, **_):
        if what == "keyframe":
            for ssrc in self.tracks[track].streams():
                await self.tracks[track].transceiver.receiver._send_rtcp_pli(ssrc)
        else:
            self.tracks[track].source.muted = what == "mute"

    async def start(self, **_):
        pass

    async def open(self, channel, **keys):
        self.watch(self.pc.createDataChannel(**{key: keys[key] for key in CHANNEL_KEYS if key in keys}), channel)

    async def offer(self, restart=False, **_):
        if restart:
            raise NotImplementedError("aiortc cannot restart ICE")
        if self.offers_media:
            self.pc.addTransceiver("audio")
            self.pc.addTransceiver("video")
        self.offers_media = False
        for track in self.tracks:
            track.begin(self.pc, True)
        await self.describe(await self.pc.createOffer())

    async def answer(self, type, sdp, **_):
        if re.search(r"^a=rtcp-fb:\S+ nack +\r?$", sdp, re.MULTILINE):
            print("aiortc: an a=rtcp-fb with a space behind nack", file=sys.stderr)
        for track in self.tracks if type == "offer" else []:
            track.begin(self.pc, False)
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, type))
        if type == "offer":
            await self.describe(await self.pc.createAnswer())

    async def candidate(self, candidate, sdpMid, **_):
        if candidate == "":
            await self.pc.sctp.transport.transport.addRemoteCandidate(None)
            return
        parsed = candidate_from_sdp(candidate.split(":", 1)[1])
        parsed.sdpMid = sdpMid
        await self.pc.addIceCandidate(parsed)

    async def send(self, channel, **content):
        self.before[channel] = asyncio.ensure_future(self.put(self.find(channel), self.before.get(channel), **content))

    async def put(self, dc, before, text=None, data=None):
        if before:
            await asyncio.wait([before])
        message = text if text is not None else base64.b64decode(data)
        # connecting: a message has come before its channel's acknowledgement
        while dc.readyState == "connecting" or dc.readyState == "open" and 0 < dc.bufferedAmount > BUFFER_MAX - len(message):
            await asyncio.sleep(BUFFER_LOOK_S)
        try:
            dc.send(message)
        except Exception as error:
            say("error", text=f"send: {one_line(error)}", fatal=False)

    async def stats(self, **_):
        keys = {"stack": "aiortc", "version": aiortc.__version__, "cannot": ["trickle", "restart", "relay", "dial", "bitrate", "receive-max"]}
        keys["tracks"] = [await track.stats() for track in self.tracks]
        if self.pc.localDescription:
            keys["candidates"] = Counter(re.findall(r"^a=candidate:.* typ (\w+)", self.pc.localDescription.sdp, re.MULTILINE))
        if self.pc.sctp:
            for pair in self.pc.sctp.transport.transport._connection._nominated.values():
                for side, c in (("local", pair.local_candidate), ("remote", pair.remote_candidate)):
                    keys[side] = {"type": c.type, "address": f"{c.host}:{c.port}"}
        say("stats", **keys)

    async def close(self, channel=None, **_):
        if channel is None:
            await self.pc.close()
            return
        if before := self.before.get(channel):
            await asyncio.wait([before])
        self.find(channel).close()


def one_line(error):
    return " ".join((str(error) or repr(error)).split())[:500]


async def carry_out(peer, line):
    try:
        command = json.loads(line)
        name = command.pop("do")
        if name not in COMMANDS:
            raise ValueError
    except (ValueError, AttributeError, TypeError, KeyError, IndexError):
        say("error", text=f"no command that is known: {line[:80]!r}", fatal=False)
        return
    try:
        await getattr(peer, name)(**command)
    except Exception as error:
        traceback.print_exc()
        say("error", text=f"{name}: {one_line(error)}", fatal=False)


async def main():
    peer, reader, queue = Peer(), asyncio.StreamReader(limit=LINE_MAX), asyncio.Queue()

    async def in_order():
        while True:
            await carry_out(peer, await queue.get())

    working = asyncio.ensure_future(in_order())
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while not working.done() and (line := await reader.readline()):
        queue.put_nowait(line)
    os._exit(0)  # at once, whatever still runs


try:
    asyncio.run(main())
except Exception as error:
    traceback.print_exc()
    say("error", text=one_line(error), fatal=True)
    os._exit(1)
