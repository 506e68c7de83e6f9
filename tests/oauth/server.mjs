// An authorization server to sign in at: oidc-provider, with its own pages for the login.
// node server.mjs FOLDER-OF-PACKAGES
// Says its address on a line of its own once it listens. GET /seen tells what came to the token endpoint, GET /spoil?token=…
// ends an access token before its time.
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [packages] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")));

const DEVICE = "urn:ietf:params:oauth:grant-type:device_code";
const client = (id, more) => ({
  client_id: id,
  application_type: "native",
  redirect_uris: ["http://localhost:8080/callback"],
  response_types: ["code"],
  grant_types: ["authorization_code", "refresh_token", DEVICE],
  ...(more.client_secret ? {} : { token_endpoint_auth_method: "none", revocation_endpoint_auth_method: "none" }),
  ...more,
});

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const seen = [];
  const provider = new Provider(issuer, {
    clients: [
      client("public", {}),
      client("short-lived", {}),
      client("confidential", { client_secret: "s3cret-of-the-client", token_endpoint_auth_method: "client_secret_post" }),
      client("basic", { client_secret: "s3cret-of-the-client", token_endpoint_auth_method: "client_secret_basic" }),
    ],
    scopes: ["openid", "offline_access", "email"],
    claims: { openid: ["sub"], email: ["email"] },
    conformIdTokenClaims: false,
    cookies: { keys: ["of", "the", "test"] },
    pkce: { required: () => true },
    features: { deviceFlow: { enabled: true }, revocation: { enabled: true }, devInteractions: { enabled: true } },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    clockTolerance: 0,
    ttl: {
      AccessToken: (_ctx, _token, { clientId }) => (clientId === "short-lived" ? 3 : 3600),
      AuthorizationCode: 60,
      DeviceCode: (_ctx, _token, { clientId }) => (clientId === "short-lived" ? 2 : 600),
      Grant: 86400,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 86400,
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.com` }) }),
  });
  provider.use(async (ctx, next) => {
    if (ctx.path === "/seen") {
      ctx.body = seen;
      return;
    }
    if (ctx.path === "/spoil") {
      await (await provider.AccessToken.find(ctx.query.token))?.destroy();
      ctx.body = {};
      return;
    }
    await next();
    if (ctx.path === "/token") seen.push({ grant: ctx.oidc?.params?.grant_type, status: ctx.status });
  });
  server.on("request", provider.callback());
  console.log(issuer);
});
