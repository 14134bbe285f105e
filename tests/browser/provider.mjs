// A certified provider of identities (panva/node-oidc-provider), run here: its own login page takes any name.

import { createServer } from 'node:http'
import Provider from 'oidc-provider'

/** Starts the provider for one client, whose people have `groups` by their name. */
export async function provider ({ redirect, groups }) {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${server.address().port}`
  const oidc = new Provider(issuer, {
    clients: [{ client_id: 'breachclock', client_secret: 'a secret: with+signs&%', redirect_uris: [redirect], grant_types: ['authorization_code'], response_types: ['code'] }],
    claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true } },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, name: `Name of ${id}`, preferred_username: id, groups: groups[id] ?? [] })
    })
  })
  server.on('request', oidc.callback())
  return { issuer, close: () => new Promise(resolve => { server.closeAllConnections(); server.close(resolve) }) }
}
