package views

func overviewStats(p OverviewLiveProps) []stat {
	traffic, unit := scaled(p.InPerSec + p.OutPerSec)
	fourth := stat{key: "refused", name: statRefused, value: count(p.Refused), context: refusedContext(p)}
	if p.Waiting > 0 { // what goes on now is more than what is over
		fourth = stat{key: "waiting", name: statWaiting, value: count(p.Waiting), context: statWaitingSome}
	}
	return []stat{
		{key: "connections", name: statConnections, value: count(p.Connections), context: peak(p.ConnSamples), samples: p.ConnSamples},
		{key: "new", name: statNew, value: figure(p.NewPerSec), context: peak(p.NewSamples), samples: p.NewSamples},
		{key: "traffic", name: statTraffic, value: traffic, unit: unit + "/s", context: trafficSplit(p.InPerSec, p.OutPerSec), tone: "c2", samples: p.ByteSamples},
		fourth,
	}
}

func attentionTone(list []Attention) string {
	for _, a := range list {
		if a.Bad {
			return "bad"
		}
	}
	return "warn"
}

// checkStep is one step of the checklist; its class is done, next or "".
type checkStep struct{ name, text, class, url, button string }

func checklistSteps(p ChecklistProps) []checkStep {
	list := []checkStep{
		{name: checkClient, class: "done"},
		{name: checkFrontend, text: checkFrontendHow, url: "/frontends/new", button: newFrontend},
		{name: checkCert, text: checkCertHow, url: p.CertificateURL, button: checkCertButton},
		{name: checkByte, text: checkByteHow, url: p.ConnectURL, button: connectWord},
	}
	next := true
	for i, done := range []bool{p.HasFrontend, p.HasCertificate, p.HasFirstByte} {
		switch {
		case done:
			list[i+1].class = "done"
		case next:
			list[i+1].class = "next"
			next = false
		}
	}
	return list
}

func checklistDone(p ChecklistProps) string {
	steps := checklistSteps(p)
	done := 0
	for _, s := range steps {
		if s.class == "done" {
			done++
		}
	}
	return doneOf(done, len(steps))
}
