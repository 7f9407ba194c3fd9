package egress

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// fileEvery is how often the file is looked at.
const fileEvery = 2 * time.Second

// maxFile is the largest file that is read.
const maxFile = 1 << 20

// fileState is the file's content. Content is compared, not times: an editor or a mounted secret may put another file
// there with the same time.
type fileState struct {
	inForce []byte // nil: none yet
	pending []byte // as it was read last
}

// Follow reads the file again when it changes, until ctx ends, and returns nil then. changed is called after each
// change, with an error when the file cannot be read or has a line that is wrong: then the rules stay as they were.
func (p *Policy) Follow(ctx context.Context, changed func(error)) error {
	if p.cfg.File == "" {
		<-ctx.Done()
		return nil
	}
	ticker := time.NewTicker(fileEvery)
	defer ticker.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		found, err := p.reload()
		switch {
		case err != nil && err.Error() != last: // said once
			last = err.Error()
			changed(err)
		case err == nil && (found == fresh || found == same && last != ""):
			last = ""
			changed(nil)
		}
	}
}

// finding is what a look at the file found.
type finding int

const (
	same      finding = iota // as what is in force
	unsettled                // something else, for the first time
	fresh                    // something else, and it is in force now
)

// reload reads the file, and puts its rules in force when they are new and right, and the file was the same when it was
// read before: who writes a file may have written a part of it, and a part forbids less than the whole.
func (p *Policy) reload() (found finding, err error) {
	text, err := os.ReadFile(p.cfg.File)
	switch {
	case err != nil:
		return same, err
	case len(text) > maxFile:
		return same, fmt.Errorf("%s has more than %d bytes", p.cfg.File, maxFile)
	case p.file.inForce != nil && bytes.Equal(text, p.file.inForce):
		return same, nil
	case p.file.inForce != nil && !bytes.Equal(text, p.file.pending):
		p.file.pending = append([]byte{}, text...)
		return unsettled, nil
	}
	lists, err := parseLists(text, p.cfg.Lists)
	if err != nil {
		return same, fmt.Errorf("%s: %w", p.cfg.File, err)
	}
	p.file.inForce = append([]byte{}, text...)
	p.lists.Store(&lists)
	return fresh, nil
}

// parseLists adds the rules of a file to some: a word and a network on each line, # before a comment.
func parseLists(text []byte, lists Lists) (Lists, error) {
	lists = Lists{
		Allow: append([]Rule(nil), lists.Allow...), Deny: append([]Rule(nil), lists.Deny...), Permit: append([]Rule(nil), lists.Permit...),
	}
	into := map[string]*[]Rule{"allow": &lists.Allow, "deny": &lists.Deny, "permit": &lists.Permit}
	scanner := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; scanner.Scan(); n++ {
		line, _, _ := strings.Cut(scanner.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		list := into[fields[0]]
		if list == nil || len(fields) < 2 {
			return Lists{}, fmt.Errorf("line %d: write allow, deny or permit, and a network", n)
		}
		for _, field := range fields[1:] {
			rule, err := ParseRule(field)
			if err != nil {
				return Lists{}, fmt.Errorf("line %d: %w", n, err)
			}
			*list = append(*list, rule)
		}
	}
	return lists, scanner.Err()
}
