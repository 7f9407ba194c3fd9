package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
)

// recipients are whom a backup is encrypted to. age takes a passphrase alone: whoever has one of several keys could make a
// file that others take for one made with the passphrase.
func (s sealed) recipients() ([]age.Recipient, error) {
	var all []age.Recipient
	for _, text := range *s.to {
		found, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("-recipient: %w", err)
		}
		all = append(all, found...)
	}
	if *s.list != "" {
		found, err := parseFile(*s.list, age.ParseRecipients)
		if err != nil {
			return nil, fmt.Errorf("-recipients-file: %w", err)
		}
		all = append(all, found...)
	}
	switch {
	case *s.passphrase != "" && len(all) > 0:
		return nil, errors.New("use a passphrase or public keys, not both")
	case *s.passphrase != "":
		text, err := readPassphrase(*s.passphrase)
		if err != nil {
			return nil, err
		}
		one, err := age.NewScryptRecipient(text)
		return []age.Recipient{one}, err
	case len(all) == 0:
		return nil, errors.New("a backup is encrypted: use -recipient with a public key (age-keygen makes one), or -passphrase-file")
	}
	return all, nil
}

// identities are what opens a backup.
func (s sealed) identities() ([]age.Identity, error) {
	switch {
	case *s.passphrase != "" && *s.own != "":
		return nil, errors.New("use a passphrase or an identity, not both")
	case *s.passphrase != "":
		text, err := readPassphrase(*s.passphrase)
		if err != nil {
			return nil, err
		}
		one, err := age.NewScryptIdentity(text)
		return []age.Identity{one}, err
	case *s.own != "":
		found, err := parseFile(*s.own, age.ParseIdentities)
		if err != nil {
			return nil, fmt.Errorf("-identity: %w", err)
		}
		return found, nil
	}
	return nil, errors.New("a backup is encrypted: use -identity with the file of the secret key, or -passphrase-file")
}

func parseFile[T any](path string, parse func(io.Reader) (T, error)) (T, error) {
	var none T
	f, err := os.Open(path)
	if err != nil {
		return none, err
	}
	defer f.Close()
	return parse(f)
}

// shortestPassphrase is what a person may still choose. scrypt makes each guess cost a second.
const shortestPassphrase = 12

func readPassphrase(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if len(line) < shortestPassphrase {
		return "", fmt.Errorf("-passphrase-file: the first line of %s has %d bytes; use at least %d", path, len(line), shortestPassphrase)
	}
	return line, nil
}

func seal(w io.Writer, to []age.Recipient) (io.WriteCloser, error) { return age.Encrypt(w, to...) }

func unseal(r io.Reader, with []age.Identity) (io.Reader, error) {
	opened, err := age.Decrypt(r, with...)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return nil, errors.New("that does not open this backup: it was made with another passphrase or for another key")
	}
	if err != nil {
		return nil, fmt.Errorf("this is no backup of xlb: %w", err)
	}
	return opened, nil
}
