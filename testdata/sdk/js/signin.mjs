// MSAL's two ways to sign a person in without a secret, by its defaults: authorization code with PKCE, and device code. What
// a person does on the pages is done here by hand.
import assert from "node:assert/strict";
import { CryptoProvider, PublicClientApplication } from "@azure/msal-node";

const app = new PublicClientApplication({ auth: { clientId: "22222222-2222-4222-8222-222222222222" } });
const scopes = ["User.Read"];

// send fills in the form of a page that this process was sent to.
async function send(address, fields) {
  const page = await fetch(address, { redirect: "manual" });
  assert.equal(page.status, 200, await page.clone().text());
  assert.match(page.headers.get("content-security-policy"), /default-src 'none'/);
  return fetch(address, {
    method: "POST",
    redirect: "manual",
    headers: { origin: new URL(address).origin, "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(fields),
  });
}

const { verifier, challenge } = await new CryptoProvider().generatePkceCodes();
const redirectUri = "http://localhost:3000/signed-in";
const address = await app.getAuthCodeUrl({
  scopes, redirectUri, codeChallenge: challenge, codeChallengeMethod: "S256", nonce: "a nonce", state: "a state", loginHint: "ada@example.com",
});
assert.equal(new URL(address).host, "login.microsoftonline.com");
const back = new URL((await send(address, { user: "ada@example.com" })).headers.get("location"));
assert.equal(back.searchParams.get("state"), "a state");
const byCode = await app.acquireTokenByCode({ scopes, redirectUri, code: back.searchParams.get("code"), codeVerifier: verifier }, { nonce: "a nonce" });
assert.equal(byCode.account.username, "ada@example.com");
assert.equal(byCode.idTokenClaims.nonce, "a nonce");
assert.match(byCode.idTokenClaims.iss, /^https:\/\/login\.microsoftonline\.com\//);
const silent = await app.acquireTokenSilent({ scopes: ["Mail.Read"], account: byCode.account });
assert.ok(silent.accessToken && silent.accessToken !== byCode.accessToken);
console.log("signed in with a code");

const byDevice = await app.acquireTokenByDeviceCode({
  scopes,
  deviceCodeCallback: async ({ userCode, verificationUri }) => {
    const page = await send(verificationUri, { user_code: userCode, user: "bob@example.com" });
    assert.match(await page.text(), /The device is signed in/);
  },
});
assert.equal(byDevice.account.username, "bob@example.com");
console.log("signed in with a device");

await assert.rejects(
  app.acquireTokenByCode({ scopes, redirectUri, code: back.searchParams.get("code"), codeVerifier: verifier }),
  (error) => error.errorCode === "invalid_grant" && /AADSTS54005/.test(error.errorMessage),
);
console.log("a code works once");
