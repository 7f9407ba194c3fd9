package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xdire/xlb/internal/demo"
	"github.com/xdire/xlb/lb"
)

// lookupBudget bounds the look-up of all names of one frontend when it is saved.
const lookupBudget = 2 * time.Second

// checkRoutes validates a list of routes and returns their canonical forms.
func (c *Control) checkRoutes(ctx context.Context, routes, known []Route) (checked []Route, found map[string][]netip.AddrPort, problems []error) {
	most := c.live.Limits(ActorFrom(ctx).ClientID).RoutesPerFrontend
	if len(routes) == 0 {
		return nil, nil, []error{invalid("routes", "Name at least one route, for example 10.0.7.2:6379.")}
	}
	if most >= 0 && len(routes) > most {
		return nil, nil, []error{invalid("routes", "At most %d routes.", most)}
	}
	ctx, cancel := context.WithTimeout(ctx, lookupBudget)
	defer cancel()
	checked = make([]Route, 0, len(routes))
	found = map[string][]netip.AddrPort{}
	rows := map[string]int{}
	for i, r := range routes {
		field := fmt.Sprintf("routes[%d].dest", i)
		dest, addresses, problem := c.checkDest(ctx, field, r.Dest, known)
		found[dest] = addresses
		switch first, twice := rows[dest]; {
		case problem != nil:
			problems = append(problems, problem)
		case twice:
			problems = append(problems, invalid(field, "You have this route already, in row %d.", first))
		default:
			rows[dest] = i + 1
		}
		if r.Capacity < 0 || r.Capacity > MaxCapacity {
			problems = append(problems, invalid(fmt.Sprintf("routes[%d].capacity", i), "Use 0 for no bound, or 1 to %d connections.", MaxCapacity))
		}
		if r.Weight < 0 || r.Weight > MaxWeight {
			problems = append(problems, invalid(fmt.Sprintf("routes[%d].weight", i), "Use 1 to %d; 0 is 1.", MaxWeight))
		}
		if !slices.Contains(RouteStates, r.State) {
			problems = append(problems, invalid(fmt.Sprintf("routes[%d].state", i), "Use ready, drain or maintenance."))
		}
		r.Dest = dest
		checked = append(checked, r)
	}
	return checked, found, problems
}

// checkShared refuses routes that another client uses in the other way: with a PROXY header where this frontend sends none,
// or without. Only what is new is asked, so nobody can keep a client from changing what it has. The words are those of any
// address that is closed: which destinations others have is nobody's business.
func (c *Control) checkShared(clientID string, routes []Route, found map[string][]netip.AddrPort, proxied bool, before FrontendSpec) (problems []error) {
	isOther := proxied != (before.Options.Proxy > 0)
	for i, r := range routes {
		wasThere := slices.ContainsFunc(before.Routes, func(old Route) bool { return old.Dest == r.Dest })
		if wasThere && !isOther || r.Dest == DemoDest { // each connection to that is its client's own
			continue
		}
		all := append([]string{r.Dest}, c.live.Expansion(clientID, r.Dest)...)
		for _, address := range found[r.Dest] {
			all = append(all, address.String())
		}
		if c.live.UsedOtherwise(clientID, proxied, all...) {
			problems = append(problems, invalid(fmt.Sprintf("routes[%d].dest", i), "%s", closedAddress))
		}
	}
	return problems
}

// DemoDest is the destination of the demo upstream, which is in this program and in local mode only.
const DemoDest = demo.Dest

// closedAddress is all that is said about an address that a route may not have.
const closedAddress = "This server does not allow that address."

// checkDest validates one destination: its syntax, and the egress rule on every address it has now. It returns those that
// it found, none for a destination that was accepted before.
func (c *Control) checkDest(ctx context.Context, field, text string, known []Route) (string, []netip.AddrPort, *Error) {
	host, port, problem := parseDest(field, text)
	if problem != nil {
		return "", nil, problem
	}
	dest := joinHostPort(host, int(port))
	if slices.ContainsFunc(known, func(r Route) bool { return r.Dest == dest }) || dest == DemoDest && c.HasDemo(ctx) {
		return dest, nil, nil
	}
	var addresses []netip.AddrPort
	for _, ip := range c.lookup(ctx, host) {
		addresses = append(addresses, netip.AddrPortFrom(ip.Unmap(), port))
	}
	if len(addresses) == 0 {
		return dest, nil, nil // a name that does not resolve may do so later; the dial asks again
	}
	allowed := c.egress.CheckForOthers
	if c.IsLocal(ctx) {
		allowed = c.egress.Check
	}
	for _, address := range addresses {
		if allowed(address) == nil {
			return dest, addresses, nil
		}
	}
	return "", nil, invalid(field, "%s", closedAddress)
}

// lookup returns the addresses of a host, none when it does not resolve in time.
func (c *Control) lookup(ctx context.Context, host string) []netip.Addr {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip}
	}
	addresses, err := c.cfg.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	return addresses
}

// schemes are those of URLs that people have of what they want to balance.
var schemes = []string{"http", "https", "tcp", "tls", "ssl", "ws", "wss", "redis", "rediss", "postgres", "postgresql", "mysql", "amqp", "amqps", "mongodb"}

// parseDest takes host:port apart and returns both in canonical form.
func parseDest(field, text string) (host string, port uint16, problem *Error) {
	text = strings.TrimSpace(text)
	// What people copy out of the address line of a browser. Only schemes that are named here are said again.
	if scheme, _, found := strings.Cut(text, "://"); found {
		if !slices.Contains(schemes, strings.ToLower(scheme)) {
			return "", 0, invalid(field, "Leave out what stands before the host.")
		}
		return "", 0, invalid(field, "Leave out %s://", strings.ToLower(scheme))
	}
	if strings.ContainsAny(text, "/?#") {
		return "", 0, invalid(field, "Leave out the path: write host:port, for example db.internal:5432.")
	}
	if strings.Count(text, ":") > 1 && !strings.HasPrefix(text, "[") {
		return "", 0, invalid(field, "Put IPv6 addresses in brackets: [2001:db8::7]:443.")
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil || portText == "" {
		return "", 0, invalid(field, "Add a port, for example 10.0.7.2:6379.")
	}
	number, err := strconv.Atoi(portText)
	if err != nil || number < 1 || number > 65535 || strings.HasPrefix(portText, "+") {
		return "", 0, invalid(field, "The port must be from 1 to 65535.")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Zone() != "" {
			return "", 0, invalid(field, "Leave out the zone of the address, the part after %%.")
		}
		return ip.Unmap().String(), uint16(number), nil
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !isHostname(host) {
		return "", 0, invalid(field, "This is no host name or IP address. Write host:port, for example db.internal:5432.")
	}
	return host, uint16(number), nil
}

// isHostname follows RFC 1123, plus underscores, which container networks use. A name whose last label
// is a number is refused: some resolvers read such texts as addresses.
func isHostname(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.ContainsFunc(l, notInHostname) {
			return false
		}
	}
	last := labels[len(labels)-1]
	_, err := strconv.ParseUint(last, 0, 64)
	return err != nil && strings.Trim(last, "0123456789") != ""
}

func notInHostname(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_')
}

func joinHostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// wellKnown are the names that ports suggest.
var wellKnown = map[string]string{
	"6379": "redis", "5432": "postgres", "3306": "mysql", "80": "web", "443": "web", "8080": "web",
}

// SuggestName is the name a frontend gets when its owner gives none.
func SuggestName(dest string) string {
	if dest == DemoDest {
		return "demo"
	}
	if _, port, err := net.SplitHostPort(dest); err == nil && wellKnown[port] != "" {
		return wellKnown[port]
	}
	return "frontend"
}

// newDestinations is how many of routes lead where no saved route of the actor's does.
func (c *Control) newDestinations(a Actor, routes []Route) int {
	fresh := map[string]bool{}
	for _, r := range routes {
		fresh[r.Dest] = true
	}
	for _, f := range c.live.FrontendsOf(a.ClientID) {
		for _, r := range f.Routes {
			delete(fresh, r.Dest)
		}
	}
	return len(fresh)
}

// payFor counts destinations that are saved for the first time: a client that saves thousands an hour, and looks at what
// their checks say, scans a network.
func (c *Control) payFor(a Actor, routes []Route) error {
	if wait := c.live.TakeDestinations(a.ClientID, c.newDestinations(a, routes)); wait > 0 {
		return c.tooManyDestinations(a, wait)
	}
	return nil
}

func (c *Control) tooManyDestinations(a Actor, wait time.Duration) *Error {
	return tooMany(fmt.Sprintf("You may name %d new destinations in an hour, for routes and for checks.", c.live.Limits(a.ClientID).NewDestinationsPerHour), wait)
}

// RouteCheck says what came of trying a destination.
type RouteCheck struct {
	Reason lb.Reason // empty: it answers
	Host   string
	Port   int
	Took   time.Duration
}

// Answers tells whether a connection came about.
func (r RouteCheck) Answers() bool { return r.Reason == "" }

// Code is the reason in the words of the log, empty when the route answers.
func (r RouteCheck) Code() string { return string(r.Reason) }

// checkTimeout bounds the look-up and dial of one route check.
const checkTimeout = 2 * time.Second

// CheckRoute tries to connect to a destination, under the same rules as the balancer's own dials.
// It sends nothing and reads nothing.
func (c *Control) CheckRoute(ctx context.Context, text string) (RouteCheck, error) {
	ctx, a, err := c.may(ctx, actRouteCheck, "")
	if err != nil {
		return RouteCheck{}, err
	}
	host, port, problem := parseDest("dest", text)
	if problem != nil {
		return RouteCheck{}, problem
	}
	if wait := c.checks.take(a.ClientID, c.cfg.Now()); wait > 0 {
		return RouteCheck{}, tooMany("Too many route checks.", wait)
	}
	dest := joinHostPort(host, int(port))
	if c.newDestinations(a, []Route{{Dest: dest}}) > 0 {
		if wait := c.live.TakeTries(a.ClientID, 1); wait > 0 {
			return RouteCheck{}, c.tooManyDestinations(a, wait)
		}
	}
	dialer := c.strict
	if c.IsLocal(ctx) {
		dialer = c.dialer
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	check := RouteCheck{Host: host, Port: int(port)}
	started := time.Now()
	conn, err := dialer.DialContext(ctx, "tcp", dest)
	check.Took = time.Since(started)
	if err != nil {
		check.Reason = lb.ReasonOf(err)
		if check.Reason == lb.ReasonBackendPolicy {
			return check, invalid("dest", "%s", closedAddress)
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			check.Reason = lb.ReasonBackendTimeout
		}
		return check, nil
	}
	return check, conn.Close()
}
