// A real OpenID Connect provider on PORT of the loopback interface, with sign-in and consent pages.
//
// Whoever types a login is in. A login is the subject, and says what the provider vouches for:
//   ada           ada@example.com, verified
//   unproved-ada  ada@example.com, not verified
//   other-ada     ada@example.com, verified, as another subject
//   nameless-     no address at all
//   ada@localhost that address, verified
import { generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const { PORT, REDIRECT_URIS } = process.env;
const issuer = `http://127.0.0.1:${PORT}`;
const redirect_uris = REDIRECT_URIS.split(' ');

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'test' };

function claims(sub) {
  const [kind, name = kind] = sub.split('-');
  if (name === '') return { sub };
  const email = name.includes('@') ? name : `${name}@example.com`;
  return { sub, email, email_verified: kind !== 'unproved', name };
}

const provider = new Provider(issuer, {
  clients: [
    { client_id: 'headwater', client_secret: 'a secret of the tests', redirect_uris },
    { client_id: 'public', token_endpoint_auth_method: 'none', redirect_uris },
  ],
  claims: { email: ['email', 'email_verified'], profile: ['name'] },
  cookies: { keys: ['of the tests'] },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => claims(sub) }),
  jwks: { keys: [key] },
});
provider.listen(Number(PORT), '127.0.0.1', () => console.log(`listening on ${issuer}`));
