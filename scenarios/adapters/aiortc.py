#!/usr/bin/python3
"""PROTOCOL.md for aiortc (with aioice and pylibsrtp), WebRTC written in Python. It tells all candidates at once, cannot restart ICE."""
import asyncio
import base64
import hashlib
import json
import os
import sys
import traceback

LINE_MAX, TOLD_MAX, BUFFER_MAX = 1 << 20, 1024, 1 << 20
BUFFER_LOOK_S, LEAVE_S = 0.005, 0.2
lines = os.fdopen(os.dup(1), "w", encoding="utf-8")  # stdout is for lines alone
os.dup2(2, 1)


def say(line):
    lines.write(json.dumps({key: value for key, value in line.items() if value is not None}) + "\n")
    lines.flush()


try:
    sys.path.pop(0)  # this folder, where this file has the same name
    import aiortc
    from aiortc.sdp import candidate_from_sdp
except ImportError as error:
    say({"is": "error", "text": f"aiortc is not installed, run ci/live-deps all ({error})"})
    sys.exit(127)

CHANNEL_KEYS = ("label", "ordered", "maxRetransmits", "maxPacketLifeTime", "negotiated", "id", "protocol")
CAN = {"trickle": False, "restart": False, "maxRetransmits": True, "maxPacketLifeTime": True, "unordered": True, "negotiated": True, "relay": False}


def heard(channel, data):
    binary = not isinstance(data, str)
    raw = data if binary else data.encode()
    line = {"is": "message", "channel": channel, "binary": binary, "size": len(raw)}
    if len(raw) > TOLD_MAX:
        line["sha256"] = hashlib.sha256(raw).hexdigest()
    elif binary:
        line["base64"] = base64.b64encode(raw).decode()
    else:
        line["text"] = data
    say(line)


def pattern(n, size):
    return (n.to_bytes(4, "big") + bytes((n + i) & 255 for i in range(4, size)))[:size]


class Peer:
    def __init__(self):
        self.pc = None
        self.channels = {}  # label to the channel
        self.before = {}  # label to the sends under way

    def find(self, label):
        if label not in self.channels:
            raise ValueError(f"no channel '{label}'")
        return self.channels[label]

    def watch(self, channel, incoming):
        label, opened = channel.label, []

        def open_once():
            if not opened:
                say({"is": "open", "channel": label, "incoming": incoming})
            opened.append(True)

        def message(data):
            open_once()
            heard(label, data)

        self.channels[label] = channel
        channel.on("open", open_once)
        channel.on("message", message)
        channel.on("close", lambda: say({"is": "closed", "channel": label}))
        if channel.readyState == "open":
            open_once()

    def create(self, channels):
        for channel in channels or []:
            self.watch(self.pc.createDataChannel(**{key: channel[key] for key in CHANNEL_KEYS if key in channel}), False)

    async def describe(self, description):
        await self.pc.setLocalDescription(description)  # gathers
        return {"is": "sdp", "type": self.pc.localDescription.type, "sdp": self.pc.localDescription.sdp}

    async def init(self, ice_servers=(), policy="all", **_):
        if policy != "all":
            raise ValueError(f"aiortc has no policy '{policy}'")
        self.pc = pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration([aiortc.RTCIceServer(**server) for server in ice_servers]))
        for key, attribute in (("ice", "iceConnectionState"), ("connection", "connectionState"), ("gathering", "iceGatheringState"), ("signaling", "signalingState")):
            pc.on(attribute.lower() + "change", lambda key=key, attribute=attribute: say({"is": "state", key: getattr(pc, attribute)}))
        pc.on("datachannel", lambda channel: self.watch(channel, True))
        return {"is": "ready", "stack": "aiortc", "version": aiortc.__version__, "can": CAN, "max_message": 65536}

    async def offer(self, channels=(), **_):
        self.create(channels)
        return await self.describe(await self.pc.createOffer())

    async def answer(self, sdp, channels=(), **_):
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "offer"))
        self.create(channels)
        return await self.describe(await self.pc.createAnswer())

    async def accept(self, sdp, **_):
        await self.pc.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "answer"))

    async def candidate(self, candidate, mid, **_):
        if candidate == "":
            await self.pc.sctp.transport.transport.addRemoteCandidate(None)
            return
        parsed = candidate_from_sdp(candidate.split(":", 1)[1])
        parsed.sdpMid = mid
        await self.pc.addIceCandidate(parsed)

    async def restart(self, **_):
        raise NotImplementedError("aiortc cannot restart ICE")

    async def open(self, channel, **_):
        self.create([channel])

    async def send(self, channel, before, text=None, count=None, size=None, **more):
        to = self.find(channel)
        if before:
            await asyncio.wait([before])
        if count is None:
            to.send(text if text is not None else base64.b64decode(more["base64"]))
            return {"sent": 1}
        for n in range(count):
            while to.readyState == "open" and 0 < to.bufferedAmount > BUFFER_MAX - size:
                await asyncio.sleep(BUFFER_LOOK_S)
            to.send(pattern(n, size))
        return {"sent": count}

    async def stats(self, **_):
        line = {"is": "stats"}
        if self.pc.sctp:
            for pair in self.pc.sctp.transport.transport._connection._nominated.values():
                for key, c in (("local", pair.local_candidate), ("remote", pair.remote_candidate)):
                    line[key] = {"type": c.type, "address": c.host, "port": c.port, "protocol": c.transport.lower()}
        return line

    async def close(self, channel=None, **_):
        if channel is None:
            await self.pc.close()
            return
        to = self.find(channel)
        if before := self.before.get(channel):
            await asyncio.wait([before])
        to.close()


def one_line(error):
    return " ".join((str(error) or repr(error)).split())[:500]


async def carry_out(peer, command):
    id = command.pop("id", None)
    name = command.pop("do", None)
    if name not in ("init", "offer", "answer", "accept", "candidate", "restart", "open", "send", "stats", "close"):
        say({"is": "error", "text": f"unknown command '{name}'", "id": id})
        return

    if name == "send":
        command["before"] = peer.before.get(command.get("channel"))

    async def work():
        try:
            say({"is": "done", **(await getattr(peer, name)(**command) or {}), "id": id})
        except Exception as error:
            traceback.print_exc()
            say({"is": "error", "text": f"{name}: {one_line(error)}", "id": id})

    task = asyncio.ensure_future(work())
    if name == "send":  # the network may hold it up
        peer.before[command.get("channel")] = task
        return
    await task
    if name == "close" and "channel" not in command:
        await asyncio.sleep(LEAVE_S)
        os._exit(0)


async def main():
    peer, reader = Peer(), asyncio.StreamReader(limit=LINE_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise ValueError
        except ValueError:
            say({"is": "error", "text": f"expected a JSON object, got: {line[:60]!r}"})
            continue
        await carry_out(peer, command)
    os._exit(0)  # at once, whatever still runs


try:
    asyncio.run(main())
except Exception as error:
    traceback.print_exc()
    say({"is": "error", "text": one_line(error)})
    os._exit(1)
