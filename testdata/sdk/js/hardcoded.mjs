// An application as many are: Microsoft's hosts are the libraries' defaults, and nothing is configured. It knows nothing of
// Heliograph. It signs in, subscribes to messages, tells so, and ends when a notification has come.
import { createServer } from "node:http";
import { ConfidentialClientApplication } from "@azure/msal-node";
import { Client } from "@microsoft/microsoft-graph-client";

const msal = new ConfidentialClientApplication({
  auth: {
    clientId: "22222222-2222-4222-8222-222222222222",
    authority: "https://login.microsoftonline.com/11111111-aaaa-4aaa-8aaa-111111111111",
    clientSecret: "the secret of the real application",
  },
});
const graph = Client.init({
  authProvider: async (done) => {
    try {
      const { accessToken } = await msal.acquireTokenByClientCredential({ scopes: ["https://graph.microsoft.com/.default"] });
      done(null, accessToken);
    } catch (error) {
      done(error, null);
    }
  },
});

const server = createServer((request, response) => {
  const token = new URL(request.url, "http://localhost").searchParams.get("validationToken");
  if (token !== null) {
    response.writeHead(200, { "content-type": "text/plain" }).end(token);
    return;
  }
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    response.writeHead(202).end();
    for (const { clientState, resource } of JSON.parse(body).value) {
      console.log(`received ${resource} ${clientState}`);
    }
    server.close();
    server.closeAllConnections();
  });
});
server.listen(0, "localhost", async () => {
  try {
    const subscription = await graph.api("/subscriptions").post({
      changeType: "created",
      resource: "users/ada@example.com/messages",
      notificationUrl: `http://localhost:${server.address().port}/`,
      expirationDateTime: new Date(Date.now() + 3600_000).toISOString(),
      clientState: "a secret",
    });
    console.log(`subscribed ${subscription.id}`);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
});
