package health

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/xdire/xlb/lb/internal/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What tests of this package and of lb have in common.
var (
	newAuthority = nettest.NewAuthority
	listen       = nettest.Listen
	upstream     = nettest.Upstream
	echo         = nettest.Echo
	greeter      = nettest.Greeter
	closedPort   = nettest.ClosedPort
	eventually   = nettest.Eventually
)

// patience bounds every wait of a test; it passes only when something hangs.
const patience = nettest.Patience
