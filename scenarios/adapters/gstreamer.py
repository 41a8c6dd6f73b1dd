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

COMMANDS = ("init", "start", "open", "offer", "answer", "candidate", "send", "stats", "close", "track", "media")
STATES = {"ice": "ice-connection-state", "connection": "connection-state", "gathering": "ice-gathering-state", "signaling": "signaling-state"}
STATE = GstWebRTC.WebRTCDataChannelState
TYPES = {"offer": GstWebRTC.WebRTCSDPType.OFFER, "answer": GstWebRTC.WebRTCSDPType.ANSWER}


FORMATS = {"audio": ("OPUS", 111, 48000), "video": ("VP8", 96, 90000)}
SOURCES = {
    "audio": "audiotestsrc is-live=true freq=440 volume=0.2 ! audio/x-raw,rate=48000 ! queue ! opusenc ! rtpopuspay pt={pt} ! "
             "application/x-rtp,media=audio,encoding-name=OPUS,payload={pt} ! queue",
    "video": "videotestsrc is-live=true ! video/x-raw,width={width},height={height},framerate={fps}/1 ! queue ! "
             "vp8enc deadline=1 target-bitrate={bitrate} keyframe-max-dist=10000 ! rtpvp8pay pt={pt} picture-id-mode=15-bit ! "
             "application/x-rtp,media=video,encoding-name=VP8,payload={pt},rtcp-fb-nack-pli=true ! queue",
}
SINKS = {"audio": "rtpopusdepay name=depay ! opusdec ! audio/x-raw,format=S16LE ! fakesink name=sink sync=false",
         "video": "rtpvp8depay name=depay ! vp8dec ! fakesink name=sink sync=false"}


class Track:
    """What `track` said, and what its decoder has put out."""

    def __init__(self, kind, send, receive, **keys):
        self.kind, self.send, self.receive, self.keys = kind, send, receive, keys
        self.came = Counter()
        self.began, self.taken, self.depay, self.source = False, False, None, None

    def begin(self, peer, offer):
        if self.began:
            return
        self.began = True
        name, pt, clock = FORMATS[self.kind]
        if offer and (match := re.search(rf"^a=rtpmap:(\d+) {name}/", offer, re.MULTILINE | re.IGNORECASE)):
            pt = int(match[1])
        direction = GstWebRTC.WebRTCRTPTransceiverDirection
        caps = Gst.Caps.from_string(f"application/x-rtp,media={self.kind},encoding-name={name},payload={pt},clock-rate={clock}")
        if self.send:
            self.source = Gst.parse_bin_from_description(SOURCES[self.kind].format(pt=pt, **self.keys), True)
            peer.pipeline.add(self.source)
            pad = peer.bin.request_pad_simple("sink_%u")
            self.source.get_static_pad("src").link(pad)
            transceiver = pad.get_property("transceiver")
            transceiver.set_property("direction", direction.SENDRECV if self.receive else direction.SENDONLY)
            transceiver.set_property("do-nack", self.keys.get("nack", False))  # of audio, libwebrtc refuses an offer with RTX
            transceiver.set_property("codec-preferences", caps)  # else RTX of audio gets the number of VP8
            self.source.sync_state_with_parent()
            end = time.monotonic() + PROMISE_S
            while not pad.get_current_caps() and time.monotonic() < end:
                time.sleep(LOOK_S)  # the offer has of a codec what is known by then
        elif not offer:
            peer.bin.emit("add-transceiver", direction.RECVONLY, caps)

    def play(self, peer, pad):
        sink = Gst.parse_bin_from_description(SINKS[self.kind], True)
        self.depay = sink.get_by_name("depay")
        self.depay.get_static_pad("src").add_probe(Gst.PadProbeType.BUFFER, self.whole)
        sink.get_by_name("sink").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, self.decoded)
        peer.pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))

    def whole(self, _, info):
        if self.kind == "video":
            self.came["framesReceived"] += 1
            self.came["keyFramesDecoded"] += not info.get_buffer().has_flags(Gst.BufferFlags.DELTA_UNIT)
        return Gst.PadProbeReturn.OK

    def decoded(self, pad, info):
        if self.kind == "video":
            self.came["framesDecoded"] += 1
        else:
            channels = pad.get_current_caps().get_structure(0).get_value("channels")
            self.came["totalSamplesReceived"] += info.get_buffer().get_size() // 2 // channels
        return Gst.PadProbeReturn.OK


def member(name):  # packets-lost of webrtcbin is packetsLost of the W3C
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)


class Peer:
    def __init__(self):
        self.tracks = []
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
        self.offers_media = media
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
        self.bin.connect("pad-added", self.watch_track)
        self.pipeline.set_state(Gst.State.PLAYING)

    def watch_track(self, _, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        kind = pad.get_current_caps().get_structure(0).get_value("media")
        track = next((t for t in self.tracks if t.kind == kind and t.receive and not t.taken), None) or Track(kind, False, True)
        track.taken = True
        track.play(self, pad)

    def track(self, track, **keys):
        self.tracks.append(Track(**keys))

    def media(self, track, what, **_):
        if what != "keyframe":
            raise NotImplementedError(what)
        wanted = Gst.Structure.new_from_string("GstForceKeyUnit, all-headers=(boolean)false, count=(uint)0")
        self.tracks[track].depay.get_static_pad("sink").push_event(Gst.Event.new_custom(Gst.EventType.CUSTOM_UPSTREAM, wanted))

    def track_stats(self):
        """By kind: webrtcbin does not say of which section they are."""
        _, reply = self.ask("get-stats", None)
        told = []
        for i in range(reply.n_fields() if reply else 0):
            value = reply.get_value(reply.nth_field_name(i))
            if isinstance(value, Gst.Structure):
                told.append({member(value.nth_field_name(j)): value.get_value(value.nth_field_name(j)) for j in range(value.n_fields())})
        all_tracks = []
        for track in self.tracks:
            clock = FORMATS[track.kind][2]
            groups = {}
            for group, kind in ("in", "inbound"), ("out", "outbound"), ("remote-in", "remote-inbound"), ("remote-out", "remote-outbound"):
                of = [t for t in told if getattr(t.get("type"), "value_nick", "") == f"{kind}-rtp" and t.get("clockRate", clock) == clock]
                groups[group] = {k: v for t in of[:1] for k, v in t.items() if isinstance(v, (int, float))}
            groups["in"].update(track.came)
            all_tracks.append(groups)
        return all_tracks

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
        if self.offers_media:
            for kind, payload, name, clock in ("audio", 97, "OPUS", 48000), ("video", 96, "VP8", 90000):
                caps = f"application/x-rtp,media={kind},encoding-name={name},payload={payload},clock-rate={clock}"
                self.bin.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, Gst.Caps.from_string(caps))
        self.offers_media = False
        for track in self.tracks:
            track.begin(self, None)
        self.describe("offer")

    def answer(self, type, sdp, **_):
        result, message = GstSdp.SDPMessage.new_from_text(sdp)
        if result != GstSdp.SDPResult.OK:
            raise ValueError("no SDP")
        if re.search(r"^a=rtcp-fb:\S+ nack +\r?$", sdp, re.MULTILINE):
            print("webrtcbin: an a=rtcp-fb with a space behind nack", file=sys.stderr)
        for track in self.tracks if type == "offer" else []:
            track.begin(self, sdp)
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
        keys = {"stack": "gstreamer", "version": Gst.version_string().split()[-1], "cannot": ["restart", "mute", "dial", "bitrate", "receive-max"]}
        keys["candidates"] = Counter(re.findall(r" typ (\w+)", self.local))
        if self.tracks:
            keys["tracks"] = self.track_stats()
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
