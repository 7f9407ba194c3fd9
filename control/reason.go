package control

import (
	"github.com/xdire/xlb/control/live"
	"github.com/xdire/xlb/lb"
)

// Reasons returns the closed list of all reasons in logs and metrics. The caller owns it.
func Reasons() []lb.Reason { return live.Reasons() }
