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

	"github.com/pion/webrtc/v3"
)

const (
	lineMax    = 1 << 20
	bufferMax  = 1 << 20
	bufferLook = 5 * time.Millisecond
	gatherMax  = 5 * time.Second
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

func start(c command) error {
	config := webrtc.Configuration{ICETransportPolicy: webrtc.NewICETransportPolicy(c.ICETransportPolicy)}
	for _, s := range c.ICEServers {
		config.ICEServers = append(config.ICEServers, webrtc.ICEServer{URLs: []string{s.URLs}, Username: s.Username, Credential: s.Credential})
	}
	var err error
	trickle, media = c.Trickle, c.Media
	if pc, err = webrtc.NewPeerConnection(config); err != nil {
		return err
	}
	pc.OnICECandidate(candidate)
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) { say("state", keys{"connection": s.String()}) })
	pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) { say("state", keys{"ice": s.String()}) })
	pc.OnICEGatheringStateChange(func(s webrtc.ICEGathererState) { say("state", keys{"gathering": strings.ToLower(s.String())}) })
	pc.OnSignalingStateChange(func(s webrtc.SignalingState) { say("state", keys{"signaling": s.String()}) })
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
	k := keys{"stack": "pion", "version": version, "candidates": counts}
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
		return describe(pc.CreateOffer(&webrtc.OfferOptions{ICERestart: c.Restart}))
	case "answer":
		return answer(c)
	case "candidate":
		return pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c.Candidate, SDPMid: &c.SDPMid})
	case "send":
		return send(c)
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
