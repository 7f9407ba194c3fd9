// Package record is the TLS 1.3 record layer of a server, from where crypto/tls has finished the handshake.
//
// It promises to read and write many records with one call of the system each, to hold no buffer while nothing
// comes, and to deliver exactly the bytes that the client has sent, in order, or an error. An end in order is told
// apart from one without close_notify and from one within a record.
//
// It covers RFC 8446, sections 5 (records, padding, limits on keys), 4.6.3 and 7.2 (KeyUpdate, both ways), 6 (alerts)
// and 7.3 (traffic keys), for TLS_AES_128_GCM_SHA256 and TLS_AES_256_GCM_SHA384. With any other suite or version
// [TakeOver] returns nil and crypto/tls goes on.
//
// It refuses, with the alert that the RFC names: records of other types than protected data, too long ones and such
// that do not decrypt, handshake messages but KeyUpdate, messages that are interrupted or malformed, and floods of
// records without data or of KeyUpdates. The handshake itself, certificates and tickets are not its business.
//
// A [Wire] goes between the connection and crypto/tls during the handshake. It hands out one record at a time and
// overhears the traffic secrets; TakeOver makes a [Conn] of them. A [Feed] reads plain streams the same way.
package record
