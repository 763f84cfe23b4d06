// Makes known answers with node:crypto and nothing of ours: content sealed as Microsoft Graph seals it.
//
//   cd receiver/testdata
//   node vectors.mjs > vectors.node.json
//
// With "large" it makes content of up to 4 MB, which is not committed: the tests run that where there is a node.
//
//   node vectors.mjs large
import {
  constants, createCipheriv, createHash, createHmac, publicEncrypt, randomBytes, X509Certificate,
} from "node:crypto";
import { readFileSync } from "node:fs";

// plaintext returns n bytes that can be made again on the other side: SHA-256 of 0, 1, 2, … one after the other.
function plaintext(n) {
  const blocks = [];
  for (let i = 0; i * 32 < n; i++) blocks.push(createHash("sha256").update(String(i)).digest());
  return Buffer.concat(blocks).subarray(0, n);
}

function seal(bits, n, keyBytes) {
  const pem = readFileSync(`keys/${bits}.cert.pem`);
  const certificate = new X509Certificate(pem);
  const key = randomBytes(keyBytes);
  const cipher = createCipheriv(`aes-${keyBytes * 8}-cbc`, key, key.subarray(0, 16));
  const data = Buffer.concat([cipher.update(plaintext(n)), cipher.final()]);
  const dataKey = publicEncrypt(
    { key: certificate.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: "sha1" }, key,
  );
  return {
    bits, size: n,
    content: {
      data: data.toString("base64"),
      dataSignature: createHmac("sha256", key).update(data).digest("base64"),
      dataKey: dataKey.toString("base64"),
      encryptionCertificateId: String(bits),
      encryptionCertificateThumbprint: certificate.fingerprint.replaceAll(":", ""),
    },
  };
}

const all = [];
if (process.argv[2] === "large") {
  for (const bits of [2048, 3072, 4096]) for (const n of [1 << 20, (4 << 20) - 1, 4 << 20]) all.push(seal(bits, n, 32));
} else {
  for (const bits of [2048, 3072, 4096]) for (let n = 0; n <= 33; n++) all.push(seal(bits, n, 32));
  for (const n of [255, 256, 2048, 10_000]) all.push(seal(2048, n, 32));
  for (const keyBytes of [16, 24]) for (const n of [0, 15, 16, 100]) all.push(seal(2048, n, keyBytes));
}
console.log("[");
console.log(all.map((one) => JSON.stringify(one)).join(",\n"));
console.log("]");
