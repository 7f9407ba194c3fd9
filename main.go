// Command xlb is a self-service TCP load balancer whose address is an identity: the client certificate
// that a program presents selects the pool of routes its stream is balanced over.
//
// This file takes the command line apart; package serve is the server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/xdire/xlb/internal/command"
	"github.com/xdire/xlb/internal/config"
	"github.com/xdire/xlb/internal/datadir"
	"github.com/xdire/xlb/internal/serve"
)

// version and commit are set by the build: -ldflags "-X main.version=1.2.3 -X main.commit=0123abc".
var (
	version = "dev"
	commit  string // empty: what Go has noted
)

func main() {
	err := run(os.Args[1:])
	var exit command.ExitError
	if errors.As(err, &exit) {
		os.Exit(int(exit))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "xlb:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	name := "serve"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		name = args[0]
		args = args[1:]
	}
	switch name { // those that talk to a server have flags of their own
	case "admin":
		return command.Admin(context.Background(), args, os.Stdout)
	case "export":
		return command.Export(context.Background(), args, os.Stdout)
	case "backup":
		return command.Backup(context.Background(), args, os.Stdout, terminal(os.Stderr))
	case "restore":
		syscall.Umask(0o077)
		return command.Restore(context.Background(), args, os.Stdin, os.Stdout, terminal(os.Stderr))
	case "trust", "untrust":
		return command.Trust(args, name == "untrust", os.Stdout)
	case "completion":
		return command.Completion(args, os.Stdout)
	case "apply":
		return command.Apply(context.Background(), args, os.Stdin, os.Stdout)
	}
	cfg, err := config.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if name == "check" {
		return command.Check(cfg, err, time.Now(), os.Stdout)
	}
	if err != nil {
		return err
	}
	syscall.Umask(0o077) // what we write is ours alone
	switch name {
	case "serve":
		signal.Ignore(syscall.SIGHUP) // a terminal that closes, or a reload: there is nothing to reload
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // the second signal ends the process at once
		return serve.Run(ctx, cfg, version)
	case "tls":
		return datadir.MakeAuthority(cfg.DataDir)
	case "version":
		fmt.Println("xlb", version, build())
		return nil
	case "man":
		return command.Manual(os.Stdout, version)
	}
	return fmt.Errorf("unknown command %q; use serve, tls, trust, untrust, check, admin, backup, restore, export, apply, version, man or completion", name)
}

// build is the commit that the program was made of, and with what.
func build() string {
	of := commit
	if info, known := debug.ReadBuildInfo(); known && of == "" {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				of = s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				of += "+changes"
			}
		}
	}
	if of != "" {
		of = "commit " + of + ", "
	}
	return "(" + of + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")"
}

// terminal is a file when a person looks at it: nobody wants a bar in a log.
func terminal(f *os.File) io.Writer {
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return f
}
