// The protocol for pion, WebRTC written in Go. ci/live-deps builds it.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"
	sample "github.com/pion/webrtc/v3/pkg/media"
)

const (
	lineMax    = 1 << 20
	bufferMax  = 1 << 20
	bufferLook = 5 * time.Millisecond
	gatherMax  = 5 * time.Second
	waitMax    = 500 * time.Millisecond // for a packet that is missing
)

var version = "unknown" // set by the linker

type keys map[string]interface{}

type command struct {
	Do                                               string
	ICEServers                                       []struct{ URLs, Username, Credential string }
	ICETransportPolicy, Type, SDP, Candidate, SDPMid string
	Trickle, Restart, Negotiated, Media              bool
	Channel                                          *int
	Label, Protocol                                  string
	Ordered                                          *bool
	MaxRetransmits, MaxPacketLifeTime, ID            *uint16
	Text, Data                                       *string
	Kind, What                                       string
	Track                                            int
	Send, Receive                                    bool
	Clip                                             *clip
}

// What is sent: pion has no encoders.
type clip struct {
	Codec               string
	ClockRate, Duration uint64
	Frames              []struct {
		Timestamp uint64
		Key       bool
		Data      []byte
	}
}

// pion has no decoders either: a frame counts as decoded when all its packets came, and a key frame or frames without a gap since one came before.
type track struct {
	command
	sender         *webrtc.RTPSender
	remote         *webrtc.TrackRemote
	begun, broken  bool
	asked          bool   // for a key frame, by the other side
	first, highest uint64 // extended sequence numbers
	next           uint64 // the one that the picture waits for
	waiting        map[uint64]*rtp.Packet
	waits          time.Time // since when
	in, out        map[string]uint64
	key            bool   // of the frame at hand
	codec          string // of what came
}

type channel struct {
	dc   *webrtc.DataChannel
	sent chan struct{} // closed when the sends before have been done
}

var (
	pc       *webrtc.PeerConnection
	trickle  bool
	media    bool // to be offered
	lines    *os.File
	mutex    sync.Mutex // of all below, and of the lines' order
	channels = map[int]*channel{}
	incoming int
	holding  bool // candidates of a description that was not told yet
	held     []string
	tracks   []*track
)

func write(event string, k keys) {
	line := keys{"event": event}
	for key, value := range k {
		line[key] = value
	}
	text, err := json.Marshal(line)
	if err == nil {
		_, err = lines.Write(append(text, '\n'))
	}
	if err != nil {
		os.Exit(1) // nobody listens any more
	}
}

func say(event string, k keys) {
	mutex.Lock()
	defer mutex.Unlock()
	write(event, k)
}

func watch(dc *webrtc.DataChannel, number int, opened keys) {
	var once sync.Once
	open := func() { once.Do(func() { say("open", opened) }) }
	dc.OnOpen(open)
	dc.OnMessage(func(m webrtc.DataChannelMessage) {
		open()
		if m.IsString {
			say("message", keys{"channel": number, "text": string(m.Data)})
		} else {
			say("message", keys{"channel": number, "data": base64.StdEncoding.EncodeToString(m.Data)})
		}
	})
	dc.OnClose(func() { say("close", keys{"channel": number}) })
	sent := make(chan struct{})
	close(sent)
	mutex.Lock()
	channels[number] = &channel{dc, sent}
	mutex.Unlock()
}

func find(number *int) (*channel, error) {
	mutex.Lock()
	defer mutex.Unlock()
	if number == nil || channels[*number] == nil {
		return nil, errors.New("no such channel")
	}
	return channels[*number], nil
}

func candidate(c *webrtc.ICECandidate) {
	text := ""
	if c != nil {
		text = c.ToJSON().Candidate
	}
	mutex.Lock()
	defer mutex.Unlock()
	if holding {
		held = append(held, text)
	} else if trickle {
		write("candidate", keys{"candidate": text})
	}
}

// Frames are made of packets in order: what is missing may come again, pion's interceptors have asked for it.
func (t *track) count(p *rtp.Packet) {
	mutex.Lock()
	defer mutex.Unlock()
	sequence := t.highest&^0xffff | uint64(p.SequenceNumber)
	if t.in["packetsReceived"] == 0 {
		sequence += 0x10000
		t.first, t.highest, t.next, t.broken = sequence, sequence-1, sequence, true
		t.waiting = map[uint64]*rtp.Packet{}
	} else if int64(sequence)-int64(t.highest) < -0x8000 {
		sequence += 0x10000
	} else if int64(sequence)-int64(t.highest) > 0x8000 {
		sequence -= 0x10000
	}
	if t.waiting[sequence] != nil || sequence < t.next && t.Kind == "video" {
		return // twice, or too late
	}
	t.in["packetsReceived"]++
	t.in["bytesReceived"] += uint64(len(p.Payload))
	if sequence < t.highest {
		t.in["retransmittedPacketsReceived"]++
	} else {
		t.highest = sequence
	}
	if t.Kind == "audio" {
		t.in["totalSamplesReceived"] += 960 // as many as 20 ms have
		return
	}
	t.waiting[sequence] = p
	t.take()
}

func (t *track) take() {
	for len(t.waiting) > 0 {
		p := t.waiting[t.next]
		if p == nil {
			if t.waits.IsZero() {
				t.waits = time.Now()
			}
			if time.Since(t.waits) < waitMax {
				return
			}
			for t.broken = true; t.waiting[t.next] == nil; t.next++ {
			}
			continue
		}
		delete(t.waiting, t.next)
		t.assemble(p)
		t.next++
		t.waits = time.Time{}
	}
}

func (t *track) assemble(p *rtp.Packet) {
	var vp8 codecs.VP8Packet
	if payload, err := vp8.Unmarshal(p.Payload); err == nil && vp8.S == 1 && vp8.PID == 0 && len(payload) > 0 {
		t.key = payload[0]&1 == 0 // RFC 6386 9.1
		t.broken = t.broken && !t.key
	}
	if !p.Marker {
		return
	}
	t.in["framesReceived"]++
	if !t.broken {
		t.in["framesDecoded"]++
		if t.key {
			t.in["keyFramesDecoded"]++
		}
	} else if t.in["framesReceived"]%15 == 0 {
		go t.askKeyframe()
	}
	t.key = false
}

func (t *track) askKeyframe() {
	mutex.Lock()
	remote := t.remote
	t.in["pliCount"]++
	mutex.Unlock()
	if remote != nil {
		if err := pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}}); err != nil {
			say("error", keys{"text": "keyframe: " + err.Error(), "fatal": false})
		}
	}
}

func (t *track) play(remote *webrtc.TrackRemote) {
	for {
		packet, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		t.count(packet)
	}
}

func (t *track) produce(local *webrtc.TrackLocalStaticSample) {
	ticks := func(n uint64) time.Duration { return time.Duration(n) * time.Second / time.Duration(t.Clip.ClockRate) }
	next := time.Now()
	for i := 0; ; i = (i + 1) % len(t.Clip.Frames) {
		mutex.Lock()
		for n := 0; t.asked && !t.Clip.Frames[i].Key && n < len(t.Clip.Frames); n++ {
			i = (i + 1) % len(t.Clip.Frames)
		}
		t.asked = false
		mutex.Unlock()
		end := t.Clip.Duration
		if i+1 < len(t.Clip.Frames) {
			end = t.Clip.Frames[i+1].Timestamp
		}
		duration := ticks(end - t.Clip.Frames[i].Timestamp)
		time.Sleep(time.Until(next))
		next = next.Add(duration)
		if err := local.WriteSample(sample.Sample{Data: t.Clip.Frames[i].Data, Duration: duration}); err != nil {
			return
		}
		mutex.Lock()
		t.out["framesSent"]++
		mutex.Unlock()
	}
}

// What the other side says of what is sent; reading it is also what makes pion send again.
func (t *track) listen() {
	for {
		packets, _, err := t.sender.ReadRTCP()
		if err != nil {
			return
		}
		mutex.Lock()
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication:
				t.out["pliCount"]++
				t.asked = t.Kind == "video"
			case *rtcp.FullIntraRequest:
				t.out["firCount"]++
				t.asked = t.Kind == "video"
			case *rtcp.TransportLayerNack:
				t.out["nackCount"]++
			}
		}
		mutex.Unlock()
	}
}

func (t *track) begin(offering bool) error {
	if t.begun {
		return nil
	}
	t.begun = true
	kind := webrtc.NewRTPCodecType(t.Kind)
	if !t.Send {
		if !offering {
			return nil
		}
		_, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		return err
	}
	if t.Clip == nil || len(t.Clip.Frames) == 0 || t.Clip.ClockRate == 0 {
		return errors.New("pion has no encoders: a track to send needs a clip")
	}
	name := webrtc.MimeTypeVP8
	if t.Kind == "audio" {
		name = webrtc.MimeTypeOpus
	}
	local, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: name}, t.Kind, "pion")
	if err == nil {
		t.sender, err = pc.AddTrack(local)
	}
	if err == nil {
		go t.listen()
		go t.produce(local)
	}
	return err
}

func beginAll(offering bool) error {
	for _, t := range tracks {
		if err := t.begin(offering); err != nil {
			return err
		}
	}
	return nil
}

func watchTrack(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	mutex.Lock()
	found := &track{in: map[string]uint64{}, out: map[string]uint64{}}
	for _, t := range tracks {
		if t.Kind == remote.Kind().String() && t.remote == nil {
			found = t
			break
		}
	}
	found.remote = remote
	found.codec = strings.SplitN(remote.Codec().MimeType, "/", 2)[1]
	mutex.Unlock()
	go found.play(remote)
}

func trackStats() []keys {
	mutex.Lock()
	defer mutex.Unlock()
	all := []keys{}
	for _, t := range tracks {
		in, out := keys{}, keys{}
		for name, value := range t.in {
			in[name] = value
		}
		for name, value := range t.out {
			out[name] = value
		}
		if t.in["packetsReceived"] > 0 {
			in["packetsLost"] = int64(t.highest-t.first+1) - int64(t.in["packetsReceived"])
		}
		all = append(all, keys{"in": in, "out": out, "codec": t.codec})
	}
	return all
}

// Without RTX, which pion's own list of codecs has: what comes by it pion reads, and gives to nobody. So packets are sent again as they were.
func engine() (*webrtc.API, error) {
	m, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: []webrtc.RTCPFeedback{{Type: "goog-remb"}, {Type: "ccm", Parameter: "fir"}}}
	err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: 111}, webrtc.RTPCodecTypeAudio)
	if err == nil {
		err = m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: 96}, webrtc.RTPCodecTypeVideo)
	}
	if err == nil {
		err = webrtc.RegisterDefaultInterceptors(m, registry) // NACK and PLI with it
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(registry)), err
}

func start(c command) error {
	config := webrtc.Configuration{ICETransportPolicy: webrtc.NewICETransportPolicy(c.ICETransportPolicy)}
	for _, s := range c.ICEServers {
		config.ICEServers = append(config.ICEServers, webrtc.ICEServer{URLs: []string{s.URLs}, Username: s.Username, Credential: s.Credential})
	}
	trickle, media = c.Trickle, c.Media
	api, err := engine()
	if err != nil {
		return err
	}
	if pc, err = api.NewPeerConnection(config); err != nil {
		return err
	}
	pc.OnICECandidate(candidate)
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) { say("state", keys{"connection": s.String()}) })
	pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) { say("state", keys{"ice": s.String()}) })
	pc.OnICEGatheringStateChange(func(s webrtc.ICEGathererState) { say("state", keys{"gathering": strings.ToLower(s.String())}) })
	pc.OnSignalingStateChange(func(s webrtc.SignalingState) { say("state", keys{"signaling": s.String()}) })
	pc.OnTrack(watchTrack)
	pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		mutex.Lock()
		number := 2*incoming + 1
		incoming++
		mutex.Unlock()
		watch(dc, number, keys{"channel": number, "label": dc.Label()})
	})
	return nil
}

func open(c command) error {
	dc, err := pc.CreateDataChannel(c.Label, &webrtc.DataChannelInit{Ordered: c.Ordered, MaxPacketLifeTime: c.MaxPacketLifeTime,
		MaxRetransmits: c.MaxRetransmits, Protocol: &c.Protocol, Negotiated: &c.Negotiated, ID: c.ID})
	if err == nil {
		watch(dc, *c.Channel, keys{"channel": *c.Channel})
	}
	return err
}

func describe(description webrtc.SessionDescription, err error) error {
	if err != nil {
		return err
	}
	mutex.Lock()
	holding, held = trickle, nil
	mutex.Unlock()
	gathered := webrtc.GatheringCompletePromise(pc)
	if err = pc.SetLocalDescription(description); err != nil {
		return err
	}
	if !trickle {
		select {
		case <-gathered:
		case <-time.After(gatherMax):
		}
		description = *pc.LocalDescription()
	}
	mutex.Lock()
	defer mutex.Unlock()
	write("sdp", keys{"type": description.Type.String(), "sdp": description.SDP})
	for _, text := range held {
		write("candidate", keys{"candidate": text})
	}
	holding = false
	return nil
}

func answer(c command) error {
	description := webrtc.SessionDescription{Type: webrtc.NewSDPType(c.Type), SDP: c.SDP}
	if description.Type == webrtc.SDPTypeOffer {
		if err := beginAll(false); err != nil {
			return err
		}
	}
	if err := pc.SetRemoteDescription(description); err != nil || description.Type != webrtc.SDPTypeOffer {
		return err
	}
	return describe(pc.CreateAnswer(nil))
}

func send(c command) error {
	to, err := find(c.Channel)
	if err != nil {
		return err
	}
	before, sent := to.sent, make(chan struct{})
	to.sent = sent
	go func() {
		<-before
		defer close(sent)
		var err error
		// Connecting: a message has come before its channel's acknowledgement.
		for to.dc.ReadyState() == webrtc.DataChannelStateConnecting ||
			to.dc.ReadyState() == webrtc.DataChannelStateOpen && to.dc.BufferedAmount() > bufferMax {
			time.Sleep(bufferLook)
		}
		if c.Text != nil {
			err = to.dc.SendText(*c.Text)
		} else if c.Data != nil {
			var bytes []byte
			if bytes, err = base64.StdEncoding.DecodeString(*c.Data); err == nil {
				err = to.dc.Send(bytes)
			}
		}
		if err != nil {
			say("error", keys{"text": "send: " + err.Error(), "fatal": false})
		}
	}()
	return nil
}

var typ = regexp.MustCompile(`a=candidate:.* typ (\w+)`)

func stats() {
	counts := map[string]int{}
	k := keys{"stack": "pion", "version": version, "candidates": counts, "tracks": trackStats(),
		"cannot": []string{"mute", "dial", "bitrate", "receive-max"}}
	if local := pc.LocalDescription(); local != nil {
		for _, match := range typ.FindAllStringSubmatch(local.SDP, -1) {
			counts[match[1]]++
		}
	}
	pair, err := pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err == nil && pair != nil {
		side := func(c *webrtc.ICECandidate) keys {
			return keys{"type": c.Typ.String(), "address": fmt.Sprintf("%s:%d", c.Address, c.Port)}
		}
		k["local"], k["remote"] = side(pair.Local), side(pair.Remote)
	}
	say("stats", k)
}

func end(c command) error {
	if c.Channel == nil {
		return pc.Close()
	}
	channel, err := find(c.Channel)
	if err == nil {
		sent := channel.sent
		go func() {
			<-sent
			channel.dc.Close()
		}()
	}
	return err
}

func carryOut(line []byte) error {
	var c command
	if err := json.Unmarshal(line, &c); err != nil {
		return fmt.Errorf("no command that is known: %w", err)
	}
	if pc == nil && c.Do != "init" {
		return errors.New("a command before init, or none that is known")
	}
	switch c.Do {
	case "init":
		return start(c)
	case "start":
		return nil
	case "open":
		return open(c)
	case "offer":
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
			if !media {
				break
			}
			if _, err := pc.AddTransceiverFromKind(kind); err != nil {
				return err
			}
		}
		media = false
		if err := beginAll(true); err != nil {
			return err
		}
		return describe(pc.CreateOffer(&webrtc.OfferOptions{ICERestart: c.Restart}))
	case "answer":
		return answer(c)
	case "candidate":
		return pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c.Candidate, SDPMid: &c.SDPMid})
	case "send":
		return send(c)
	case "track":
		tracks = append(tracks, &track{command: c, in: map[string]uint64{}, out: map[string]uint64{}})
		return nil
	case "media":
		if c.Track >= len(tracks) || c.What != "keyframe" {
			return fmt.Errorf("no %s of track %d", c.What, c.Track)
		}
		tracks[c.Track].askKeyframe()
		return nil
	case "stats":
		stats()
		return nil
	case "close":
		return end(c)
	}
	return fmt.Errorf("no command that is known: '%s'", c.Do)
}

func main() {
	lines, os.Stdout = os.Stdout, os.Stderr // pion logs to stdout
	commands := make(chan []byte, 1024)
	go func() {
		for line := range commands {
			if err := carryOut(line); err != nil {
				say("error", keys{"text": strings.ReplaceAll(err.Error(), "\n", " "), "fatal": false})
			}
		}
	}()
	scanner := bufio.NewScanner(os.Stdin)
	scanner.Buffer(nil, lineMax)
	for scanner.Scan() {
		commands <- append([]byte(nil), scanner.Bytes()...)
	}
	os.Exit(0) // at once, whatever still runs
}
