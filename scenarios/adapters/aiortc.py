#!/usr/bin/python3
"""The protocol for aiortc (with aioice), WebRTC written in Python. It tells all candidates at once, and cannot restart ICE."""
import asyncio
import base64
import json
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
    from aiortc.sdp import candidate_from_sdp
except ImportError:
    traceback.print_exc()
    say("unsupported", install="ci/live-deps all")
    sys.exit(127)

COMMANDS = ("init", "start", "open", "offer", "answer", "candidate", "send", "stats", "close")
CHANNEL_KEYS = ("label", "ordered", "maxRetransmits", "maxPacketLifeTime", "negotiated", "id", "protocol")
STATES = {"ice": "iceConnectionState", "connection": "connectionState", "gathering": "iceGatheringState", "signaling": "signalingState"}


class Peer:
    def __init__(self):
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

    async def init(self, iceServers, iceTransportPolicy, media=False, **_):
        self.media = media
        if iceTransportPolicy != "all":
            say("error", text=f"aiortc has no policy '{iceTransportPolicy}'", fatal=True)
            os._exit(1)
        self.pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration([aiortc.RTCIceServer(**server) for server in iceServers]))
        for key, attribute in STATES.items():
            self.pc.on(attribute.lower() + "change", lambda key=key, attribute=attribute: say("state", **{key: getattr(self.pc, attribute)}))
        self.pc.on("datachannel", self.watch_incoming)

    async def start(self, **_):
        pass

    async def open(self, channel, **keys):
        self.watch(self.pc.createDataChannel(**{key: keys[key] for key in CHANNEL_KEYS if key in keys}), channel)

    async def offer(self, restart=False, **_):
        if restart:
            raise NotImplementedError("aiortc cannot restart ICE")
        if self.media:
            self.pc.addTransceiver("audio")
            self.pc.addTransceiver("video")
        self.media = False
        await self.describe(await self.pc.createOffer())

    async def answer(self, type, sdp, **_):
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
        keys = {"stack": "aiortc", "version": aiortc.__version__, "cannot": ["trickle", "restart", "relay"]}
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
