// What a receiver does with resource data and with validation tokens, step by step, with the browser's own cryptography.
// No key leaves this page: nothing here sends anything but the question for the server's public keys.

const SENDER = '0bf30f3b-4a52-48df-9a82-234910c4a086'; // Graph's change tracking: contract 8.1

const fromBase64 = (text) => Uint8Array.from(atob(text.replace(/\s/g, '')), (c) => c.charCodeAt(0));
const fromBase64url = (text) => fromBase64(text.replaceAll('-', '+').replaceAll('_', '/'));
const text = (bytes) => new TextDecoder('utf-8', { fatal: true }).decode(bytes);
const hex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');

/** Runs steps one after the other and tells of each how it went; what one gives, the next gets. It ends at a failure. */
export async function walk(steps, told) {
  let carried = null;
  for (const [name, about, run] of steps) {
    try {
      const { value, said, bad } = await run(carried);
      told({ name, about, ok: !bad, said });
      if (bad === 'stop') return null;
      carried = value ?? carried;
    } catch (error) {
      told({ name, about, ok: false, said: error.message || String(error) });
      return null;
    }
  }
  return carried;
}

function der(tag, ...parts) {
  const length = parts.reduce((sum, p) => sum + p.length, 0);
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  const out = new Uint8Array(1 + size.length + length);
  out.set([tag, ...size]);
  let at = 1 + size.length;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const RSA = der(0x30, der(0x06, Uint8Array.of(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01)), Uint8Array.of(0x05, 0x00));

/** Reads a private RSA key in PEM, of either usual form, for unwrapping with OAEP and SHA-1. It cannot be read out again. */
export async function privateKey(pem) {
  const found = pem.match(/-----BEGIN ([A-Z ]+)-----([A-Za-z0-9+/=\s]+)-----END \1-----/);
  if (!found) throw new Error('This is not a key in PEM: it begins with -----BEGIN PRIVATE KEY-----.');
  let bytes = fromBase64(found[2]);
  if (found[1] === 'RSA PRIVATE KEY') bytes = der(0x30, Uint8Array.of(0x02, 0x01, 0x00), RSA, der(0x04, bytes));
  else if (found[1] !== 'PRIVATE KEY') throw new Error(`A private key is needed, and this is a ${found[1].toLowerCase()}.`);
  try {
    return await crypto.subtle.importKey('pkcs8', bytes, { name: 'RSA-OAEP', hash: 'SHA-1' }, false, ['decrypt']);
  } catch {
    throw new Error('The browser cannot read this key: it has to be an RSA key that is not encrypted itself.');
  }
}

/** Opens the encrypted content of a notification. */
export function open(content, pem, told) {
  const part = (name) => {
    if (typeof content[name] !== 'string') throw new Error(`encryptedContent has no ${name}.`);
    return fromBase64(content[name]);
  };
  return walk([
    ['Read the private key', 'PEM, PKCS#8 or PKCS#1', async () => {
      const key = await privateKey(pem);
      return { value: { key }, said: `RSA, ${key.algorithm.modulusLength} bits` };
    }],
    ['Unwrap the data key', 'RSA-OAEP with SHA-1, not SHA-256', async (c) => {
      let bytes;
      try {
        bytes = new Uint8Array(await crypto.subtle.decrypt({ name: 'RSA-OAEP' }, c.key, part('dataKey')));
      } catch {
        throw new Error(`The key does not open it. It was wrapped for the certificate “${content.encryptionCertificateId}”, thumbprint ${content.encryptionCertificateThumbprint}.`);
      }
      return { value: { ...c, dataKey: bytes }, said: `${bytes.length} bytes, for the certificate “${content.encryptionCertificateId}”`, bad: bytes.length !== 32 && 'stop' };
    }],
    ['Check the signature', 'HMAC-SHA256 with the data key, over the ciphertext’s bytes', async (c) => {
      const mac = await crypto.subtle.importKey('raw', c.dataKey, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
      const good = await crypto.subtle.verify('HMAC', mac, part('dataSignature'), part('data'));
      return { said: good ? `dataSignature ${hex(part('dataSignature')).slice(0, 16)}… is right` : 'dataSignature is not that of the data: somebody has changed it. Do not decrypt it.', bad: !good && 'stop' };
    }],
    ['Decrypt', 'AES-CBC with PKCS#7 padding; the IV is the first 16 bytes of the data key', async (c) => {
      const aes = await crypto.subtle.importKey('raw', c.dataKey, 'AES-CBC', false, ['decrypt']);
      const plain = new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-CBC', iv: c.dataKey.slice(0, 16) }, aes, part('data')));
      c.dataKey.fill(0);
      return { value: { plain }, said: `${plain.length} bytes` };
    }],
    ['Read the resource', 'JSON in UTF-8', async (c) => ({ value: JSON.parse(text(c.plain)), said: 'It is JSON.' })],
  ], told);
}

/** Takes a token apart, without believing it. */
export function parts(token) {
  const pieces = token.trim().split('.');
  if (pieces.length !== 3) throw new Error(`A token has three parts between two dots; this has ${pieces.length}.`);
  return { header: JSON.parse(text(fromBase64url(pieces[0]))), claims: JSON.parse(text(fromBase64url(pieces[1]))), signature: fromBase64url(pieces[2]), signed: new TextEncoder().encode(`${pieces[0]}.${pieces[1]}`) };
}

/** Checks a validation token. expected: audiences (the subscriptions' applications), tenant, now; keys fetches public keys. */
export function verify(token, { audiences, tenant, now, keys }, told) {
  return walk([
    ['Take it apart', 'three parts in base64url', async () => {
      const t = parts(token);
      return { value: t, said: `${t.header.alg}, key ${t.header.kid}` };
    }],
    ['Look at the algorithm', 'RS256 and no other: never what the token itself would like', async (t) => ({ said: t.header.alg, bad: t.header.alg !== 'RS256' && 'stop' })],
    ['Find the key', 'by its kid, at the issuer’s key address', async (t) => {
      const { found, address } = await keys(t);
      const jwk = found.find((k) => k.kid === t.header.kid);
      return { value: { ...t, jwk }, said: jwk ? `one of ${found.length} at ${address}` : `none of the ${found.length} at ${address} has this kid`, bad: !jwk && 'stop' };
    }],
    ['Check the signature', 'RSASSA-PKCS1-v1_5 with SHA-256', async (t) => {
      const key = await crypto.subtle.importKey('jwk', { kty: 'RSA', n: t.jwk.n, e: t.jwk.e, alg: 'RS256', ext: true }, { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, false, ['verify']);
      const good = await crypto.subtle.verify('RSASSA-PKCS1-v1_5', key, t.signature, t.signed);
      return { said: good ? 'It was signed with that key.' : 'It was not signed with that key, or changed since.', bad: !good && 'stop' };
    }],
    ['Look at the issuer', 'the tenant’s, in the form of either generation', async (t) => {
      const { iss, tid } = t.claims;
      const good = typeof tid === 'string' && (iss === `https://sts.windows.net/${tid}/` || new RegExp(`^https?://[^/]+/${tid}/v2\\.0$`).test(iss));
      return { said: iss, bad: !good };
    }],
    ['Look at the tenant', 'that of the notification', async (t) => ({ said: t.claims.tid, bad: Boolean(tenant) && t.claims.tid !== tenant })],
    ['Look at the audience', 'the application that has subscribed', async (t) => {
      const known = audiences.length > 0;
      return { said: known ? t.claims.aud : `${t.claims.aud} (the subscription’s application is not known here)`, bad: known && !audiences.includes(t.claims.aud) };
    }],
    ['Look at the sender', `azp or appid is ${SENDER}`, async (t) => {
      const sender = t.claims.azp || t.claims.appid;
      return { said: sender || 'the token does not say', bad: sender !== SENDER };
    }],
    ['Look at the time', 'not before nbf, not after exp, by the server’s clock', async (t) => {
      const seconds = now / 1000;
      const iso = (s) => new Date(s * 1000).toISOString().slice(0, 19).replace('T', ' ');
      const early = t.claims.nbf > seconds + 300;
      const late = t.claims.exp <= seconds;
      return { said: `${iso(t.claims.nbf)} to ${iso(t.claims.exp)}${late ? ': it has ended since. One that came in time is good.' : early ? ': not yet' : ''}`, bad: early || late };
    }],
  ], told);
}
