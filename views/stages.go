package views

import (
	"strings"
	"time"
)

// stageLine is one stage of the first connection; its class is ok, wait or idle.
type stageLine struct {
	key, name, text, class string
	at                     time.Time
	took                   time.Duration // zero: not known
}

// stagesOf says which stages are passed; the first one that is not is the one to wait for.
func stagesOf(p ConnectPanelProps) []stageLine {
	list := []stageLine{
		{key: "listening", name: stageListening, text: listeningText(p), class: "ok"},
		{key: "accepted", name: stageAccepted, at: p.Accepted},
		{key: "routed", name: stageRouted, at: p.Routed},
		{key: "first-byte", name: stageFirstByte, at: p.FirstByte},
	}
	if !p.FirstByte.IsZero() {
		list[0].text = fromText(p.Newest.From)
		list[1].text = acceptedText(p.Newest)
		list[1].took = p.Newest.Handshake
		list[2].text = p.Newest.Route
		list[2].took = p.Newest.Connect
		list[3].text = bytesText(p.Newest)
		list[3].took = p.Newest.Answer
	}
	// A later stage proves the earlier ones.
	passed := 0
	for i := 1; i < len(list); i++ {
		if !list[i].at.IsZero() {
			passed = i
		}
	}
	for i := 1; i < len(list); i++ {
		switch {
		case i <= passed:
			list[i].class = "ok"
		case i == passed+1:
			list[i].class = "wait"
		default:
			list[i].class = "idle"
		}
	}
	if list[1].class == "wait" {
		list[1].text = stageAcceptedFor
	}
	return list
}

// silent is whether a minute passed without anything.
func silent(p ConnectPanelProps) bool {
	return p.Accepted.IsZero() && len(p.Attempts) == 0 && !p.Since.IsZero() && p.Now.Sub(p.Since) >= time.Minute
}

// refused is whether a connection was turned away; the others were let in and failed later.
func refused(a Attempt) bool {
	return !strings.HasPrefix(a.Code, "route-") && a.Code != "no-route" && a.Code != "all-full"
}
