package views

import "time"

// TestProps is the page that tests a frontend.
type TestProps struct {
	Page   Page
	Head   FrontendHead
	Send   string // what to send: nothing, http, postgres, redis
	Error  string
	Result *TestResult // nil before the first
}

// TestResult is how a test went.
type TestResult struct {
	At       time.Time
	Took     time.Duration
	Stages   []TestStage
	Failed   string // the stage at which it failed; "" when it passed
	Sentence string // why, and what to do
	Silent   bool   // nothing came, which is no failure as nothing was sent
}

// TestStage is one stage.
type TestStage struct {
	ID, About string
	Reached   bool
	Took      time.Duration
}

// lane is the part of the whole time that a stage took, in percent.
func (r TestResult) lane(i int) (from, width int) {
	whole := time.Duration(0)
	before := time.Duration(0)
	for n, s := range r.Stages {
		if n < i {
			before += s.Took
		}
		whole += s.Took
	}
	if whole <= 0 || !r.Stages[i].Reached {
		return 0, 0
	}
	from = int(100 * before / whole)
	return min(from, 99), max(1, int(100*r.Stages[i].Took/whole))
}

func (r TestResult) stageClass(s TestStage) string {
	switch {
	case s.Reached:
		return ""
	case s.ID == r.Failed:
		return "bad"
	}
	return "off"
}
