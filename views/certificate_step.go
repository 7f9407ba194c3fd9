package views

// bundleFormat is one way to pack a bundle.
type bundleFormat struct{ id, name, text string }

// bundleFormats are those to choose from; PKCS#12 has a second kind for old programs.
var bundleFormats = []bundleFormat{
	{"zip", "Zip", "cert.pem, key.pem, ca.pem and a README. Right for almost everything."},
	{"tar.gz", "tar.gz", "The same files, and key.pem arrives with mode 0600."},
	{"pem", "One PEM file", "Key, certificate and authority in one file, for HAProxy or socat."},
	{"p12", "PKCS#12 (.p12)", "For Java, Windows and macOS. The password is shown once, with the download."},
	{"k8s", "Kubernetes secret", "A YAML file of type kubernetes.io/tls."},
}

// keyTypes are the kinds of keys to choose from, the usual one first.
var keyTypes = []Choice{
	{"", "RSA 3072 (default)"}, {"rsa-2048", "RSA 2048"}, {"rsa-4096", "RSA 4096"}, {"ecdsa-p256", "ECDSA P-256"}, {"ed25519", "Ed25519"},
}

func issueURL(p CertificateStepProps) string {
	if p.FrontendID == "" {
		return "/certificates/new"
	}
	return certificateURL(p.FrontendID)
}

// afterIssueURL is where a page goes on by itself when the download has begun.
func afterIssueURL(p CertificateStepProps) string {
	if p.FrontendID == "" {
		return "/certificates"
	}
	return connectURL(p.FrontendID)
}

func (p CertificateStepProps) fileIn(format string) string {
	if p.FileIn == nil {
		return p.File
	}
	return p.FileIn(format)
}

func orAny(frontend string) string {
	if frontend == "" {
		return certificateAny
	}
	return frontend
}
