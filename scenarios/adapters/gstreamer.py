#!/usr/bin/python3
"""The protocol for GStreamer's webrtcbin (with libnice and usrsctp). Its callbacks come from threads of its own. It cannot restart ICE."""
import base64
import json
import os
import queue
import re
import sys
import threading
import time
import traceback
from collections import Counter
from urllib.parse import quote

BUFFER_MAX, LOOK_S, GATHER_S, PROMISE_S = 1 << 20, 0.005, 5, 10
lines = os.fdopen(os.dup(1), "w", encoding="utf-8")  # stdout is for lines alone
os.dup2(2, 1)
lock = threading.RLock()


def say(event, **keys):
    with lock:
        lines.write(json.dumps({"event": event, **keys}) + "\n")
        lines.flush()


try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstWebRTC", "1.0")
    gi.require_version("GstSdp", "1.0")
    from gi.repository import GLib, Gst, GstSdp, GstWebRTC

    Gst.init(None)
    if not Gst.ElementFactory.find("webrtcbin") or not Gst.ElementFactory.find("nicesrc"):
        raise ImportError("no webrtcbin or no libnice")
except (ImportError, ValueError):
    traceback.print_exc()
    say("unsupported", install="ci/live-deps all")
    sys.exit(127)

COMMANDS = ("init", "start", "open", "offer", "answer", "candidate", "send", "stats", "close")
STATES = {"ice": "ice-connection-state", "connection": "connection-state", "gathering": "ice-gathering-state", "signaling": "signaling-state"}
STATE = GstWebRTC.WebRTCDataChannelState
TYPES = {"offer": GstWebRTC.WebRTCSDPType.OFFER, "answer": GstWebRTC.WebRTCSDPType.ANSWER}


class Peer:
    def __init__(self):
        self.channels = {}  # number to (channel, queue of its sends)
        self.incoming = 0
        self.held = None  # candidates of a description that was not told yet
        self.local = ""  # candidates that were told
        self.mids = ["0"]

    def ask(self, signal, *arguments):
        promise = Gst.Promise.new()
        self.bin.emit(signal, *arguments, promise)
        result = promise.wait()
        reply = promise.get_reply()
        if reply and reply.has_field("error"):
            raise RuntimeError(f"{signal}: {reply.to_string()}")
        if result != Gst.PromiseResult.REPLIED:
            raise RuntimeError(f"{signal}: {result.value_nick}")
        return promise, reply  # the reply is the promise's

    def watch(self, dc, channel, **label):
        opened = []

        def open_once(*_):
            with lock:
                if not opened:
                    say("open", channel=channel, **label)
                opened.append(True)

        def message(content):
            open_once()
            say("message", channel=channel, **content)

        dc.connect("on-open", open_once)
        dc.connect("on-message-string", lambda _, text: message({"text": text or ""}))
        dc.connect("on-message-data", lambda _, data: message({"data": base64.b64encode(data.get_data() if data else b"").decode()}))
        dc.connect("on-close", lambda _: say("close", channel=channel))
        self.channels[channel] = dc, queue.Queue()
        threading.Thread(target=self.send_all, args=self.channels[channel], daemon=True).start()
        if dc.get_property("ready-state") == STATE.OPEN:
            open_once()

    def watch_incoming(self, _, dc):
        self.incoming += 1
        self.watch(dc, 2 * self.incoming - 1, label=dc.get_property("label"))

    def send_all(self, dc, waiting):
        while True:
            command = waiting.get()
            while dc.get_property("ready-state") == STATE.CONNECTING or dc.get_property("ready-state") == STATE.OPEN and dc.get_property("buffered-amount") > BUFFER_MAX:
                time.sleep(LOOK_S)  # connecting: a message has come before its channel's acknowledgement
            if command is None:
                dc.emit("close")
            elif "text" in command:
                dc.emit("send-string", command["text"])
            else:
                dc.emit("send-data", GLib.Bytes.new(base64.b64decode(command["data"])))

    def tell_candidate(self, text):
        with lock:
            if text:
                self.local += text + "\n"
            if self.held is not None:
                self.held.append(text)
            elif self.trickle:
                say("candidate", candidate=text)

    def tell_state(self, key, name):
        value = self.bin.get_property(name).value_nick
        say("state", **{key: value})
        if key == "gathering" and value == "complete":
            self.tell_candidate("")

    def describe(self, kind):
        promise, reply = self.ask(f"create-{kind}", None)
        description = reply.get_value(kind)
        self.held = []
        self.ask("set-local-description", description)
        text = description.sdp.as_text()
        if not self.trickle:
            end = time.monotonic() + GATHER_S
            while self.bin.get_property("ice-gathering-state").value_nick != "complete" and time.monotonic() < end:
                time.sleep(LOOK_S)
            text = self.bin.get_property("local-description").sdp.as_text()
        with lock:
            say("sdp", type=kind, sdp=text)
            held, self.held = self.held, None
            for candidate in held if self.trickle else []:
                say("candidate", candidate=candidate)

    def init(self, iceServers, iceTransportPolicy, trickle, media=False, **_):
        self.trickle = trickle
        self.media = media
        self.pipeline = Gst.Pipeline.new("peer")
        self.bin = Gst.ElementFactory.make("webrtcbin", "webrtc")
        # A refused section of a bundle ends webrtcbin 1.22 by an assertion.
        self.bin.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.NONE if media else GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.bin.set_property("ice-transport-policy", getattr(GstWebRTC.WebRTCICETransportPolicy, iceTransportPolicy.upper()))
        self.pipeline.add(self.bin)
        for server in iceServers:
            scheme, rest = server["urls"].split(":", 1)
            if scheme == "stun":
                self.bin.set_property("stun-server", f"stun://{rest}")
            else:
                user, password = quote(server["username"], safe=""), quote(server["credential"], safe="")
                self.bin.emit("add-turn-server", f"{scheme}://{user}:{password}@{rest}")
        for key, name in STATES.items():
            self.bin.connect(f"notify::{name}", lambda _, __, key=key, name=name: self.tell_state(key, name))
        self.bin.connect("on-ice-candidate", lambda _, __, text: self.tell_candidate(text))
        self.bin.connect("on-data-channel", self.watch_incoming)
        self.pipeline.set_state(Gst.State.PLAYING)

    def start(self, **_):
        pass

    def open(self, channel, label, ordered=True, protocol="", maxRetransmits=-1, maxPacketLifeTime=-1, negotiated=False, id=-1, **_):
        options = Gst.Structure.new_from_string(
            f"options, ordered=(boolean){ordered}, max-retransmits=(int){maxRetransmits}, max-packet-lifetime=(int){maxPacketLifeTime}, "
            f"negotiated=(boolean){negotiated}, id=(int){id}, protocol=(string){json.dumps(protocol)}")
        dc = self.bin.emit("create-data-channel", label, options)
        if dc is None:
            raise RuntimeError(f"no channel '{label}'")
        self.watch(dc, channel)

    def offer(self, restart=False, **_):
        if restart:
            raise NotImplementedError("webrtcbin cannot restart ICE")
        if self.media:
            for kind, payload, name, clock in ("audio", 97, "OPUS", 48000), ("video", 96, "VP8", 90000):
                caps = f"application/x-rtp,media={kind},encoding-name={name},payload={payload},clock-rate={clock}"
                self.bin.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
        self.media = False
        self.describe("offer")

    def answer(self, type, sdp, **_):
        result, message = GstSdp.SDPMessage.new_from_text(sdp)
        if result != GstSdp.SDPResult.OK:
            raise ValueError("no SDP")
        self.mids = re.findall(r"^a=mid:(\S+)", sdp, re.MULTILINE) or self.mids
        self.ask("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(TYPES[type], message))
        if type == "offer":
            self.describe("answer")

    def candidate(self, candidate, sdpMLineIndex=0, **_):
        if candidate:
            self.bin.emit("add-ice-candidate", sdpMLineIndex, candidate)

    def send(self, channel, **content):
        self.channels[channel][1].put(content)

    def stats(self, **_):
        keys = {"stack": "gstreamer", "version": Gst.version_string().split()[-1], "cannot": ["restart"]}
        keys["candidates"] = Counter(re.findall(r" typ (\w+)", self.local))
        say("stats", **keys)

    def close(self, channel=None, **_):
        if channel is None:
            self.pipeline.set_state(Gst.State.NULL)
        else:
            self.channels[channel][1].put(None)


def one_line(error):
    return " ".join((str(error) or repr(error)).split())[:500]


def carry_out(peer, line):
    try:
        command = json.loads(line)
        name = command.pop("do")
        if name not in COMMANDS:
            raise ValueError
    except (ValueError, AttributeError, TypeError, KeyError, IndexError):
        say("error", text=f"no command that is known: {line[:80]!r}", fatal=False)
        return
    try:
        getattr(peer, name)(**command)
    except Exception as error:
        traceback.print_exc()
        say("error", text=f"{name}: {one_line(error)}", fatal=False)


def in_order(commands):
    peer = Peer()
    while True:
        carry_out(peer, commands.get())


commands = queue.Queue()
threading.Thread(target=in_order, args=(commands,), daemon=True).start()
for line in sys.stdin.buffer:
    commands.put(line)
os._exit(0)  # at once, whatever still runs
