import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** One request over TLS with a client certificate: host port method path, in the folder of the bundle. */
class Peer {
	public static void main(String[] args) throws Exception {
		KeyStore own = KeyStore.getInstance("PKCS12");
		own.load(new FileInputStream("bundle.p12"), "changeit".toCharArray());
		KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
		keys.init(own, "changeit".toCharArray());

		KeyStore trusted = KeyStore.getInstance("PKCS12");
		trusted.load(null, null);
		trusted.setCertificateEntry("xlb",
				CertificateFactory.getInstance("X.509").generateCertificate(new FileInputStream("ca.pem")));
		TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
		trust.init(trusted);

		SSLContext context = SSLContext.getInstance("TLS");
		context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
		HttpClient client = HttpClient.newBuilder().sslContext(context).version(HttpClient.Version.HTTP_1_1)
				.connectTimeout(Duration.ofSeconds(20)).build();
		HttpRequest request = HttpRequest.newBuilder(URI.create("https://" + args[0] + ":" + args[1] + args[3]))
				.method(args[2], HttpRequest.BodyPublishers.noBody()).timeout(Duration.ofSeconds(20)).build();
		System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
	}
}
