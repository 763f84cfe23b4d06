// Opens encryptedContent as a receiver in Node.js does, with node:crypto and nothing of ours.
//
//   node open.mjs < items.jsonl
//
// A line in: {"key": PEM of the private key, "content": encryptedContent}.
// A line out: base64 of the plaintext's SHA-256, its length, and the thumbprint, separated by spaces.
import { constants, createDecipheriv, createHash, createHmac, privateDecrypt, timingSafeEqual } from "node:crypto";
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const { key, content } = JSON.parse(line);
  const symmetric = privateDecrypt(
    { key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" },
    Buffer.from(content.dataKey, "base64"),
  );
  const data = Buffer.from(content.data, "base64");
  const signature = createHmac("sha256", symmetric).update(data).digest();
  if (!timingSafeEqual(signature, Buffer.from(content.dataSignature, "base64"))) throw new Error("signature");
  const decipher = createDecipheriv(`aes-${symmetric.length * 8}-cbc`, symmetric, symmetric.subarray(0, 16));
  const plaintext = Buffer.concat([decipher.update(data), decipher.final()]);
  console.log(createHash("sha256").update(plaintext).digest("base64"), plaintext.length, content.encryptionCertificateThumbprint);
}
