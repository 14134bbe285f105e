// Logging in at a provider of identities.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { accessible, freePort, house, quiet } from './house.mjs'
import { keyboard } from './keyboard.mjs'
import { provider } from './provider.mjs'

let h, idp
before(async () => {
  const port = await freePort()
  idp = await provider({
    redirect: `http://127.0.0.1:${port}/login/callback`,
    groups: { lea: ['soc'], ines: ['legal', 'soc'], guest: ['others'] }
  })
  h = await house({
    port,
    extra: `
[oidc]
name = "Acme login"
issuer = "${idp.issuer}"
client_id = "breachclock"
client_secret = "a secret: with+signs&%"
role_claim = "groups"
allow_private = true
[oidc.roles]
soc = "responder"
legal = "approver"
`
  })
})
after(async () => { await h?.close(); await idp?.close() })

async function logIn (who, name) {
  const { page } = who
  await page.goto('/report')
  await page.waitForURL('**/login?next=%2Freport')
  await page.click('text=Log in with Acme login')
  await page.fill('input[name=login]', name)
  await page.fill('input[name=password]', 'any')
  await page.click('button[type=submit]')
  await page.waitForLoadState()
  if (page.url().startsWith(idp.issuer)) await page.click('button[type=submit]')
  await page.waitForURL(`${h.url}/**`)
}

test('the provider says who it is and what they may', async () => {
  const lea = await h.person()
  await lea.page.goto('/login')
  await accessible(lea, 'the login with a provider')
  await logIn(lea, 'lea')
  assert.equal(new URL(lea.page.url()).pathname, '/report', 'back where it was wanted')
  const me = await lea.page.evaluate(() => fetch('/api/v1/me').then(answer => answer.json()))
  assert.deepEqual(me, { name: 'user:lea', role: 'responder', entities: [] })
  await lea.page.goto('/account')
  assert.match(await lea.page.textContent('main'), /You log in at http/)
  const ines = await h.person()
  await logIn(ines, 'ines')
  assert.equal((await ines.page.evaluate(() => fetch('/api/v1/me').then(answer => answer.json()))).role, 'approver')
  // the second time it is the same account
  await lea.page.click('text=Log out')
  await lea.page.context().clearCookies()
  await logIn(lea, 'lea')
  const admin = await h.admin()
  await admin.page.goto('/people')
  const rows = await admin.page.locator('table >> text=by provider').count()
  assert.equal(rows, 2)
  quiet(lea, ines)
})

test('a report typed on an expired session comes back after the provider, in the window it was typed in', async () => {
  const lea = await h.person()
  const { page, context } = lea
  await logIn(lea, 'lea')
  await page.fill('#t', 'Laptop left on a train')
  await context.clearCookies({ name: 'breachclock' })
  await page.click('text=Open the incident')
  assert.match(await page.textContent('main'), /What you typed is kept/)
  await accessible(lea, 'the login with a provider and a form that waits')
  const opened = context.waitForEvent('page')
  await page.click('text=Log in with Acme login, in another window')
  const other = await opened
  await other.waitForURL(`${h.url}/again`)
  assert.match(await other.textContent('main'), /Go back to it/)
  await other.close()
  await page.click('text=Show what I typed')
  assert.equal(await page.inputValue('#t'), 'Laptop left on a train')
  await page.click('text=Open the incident')
  await page.waitForURL('**/incidents/*')
  quiet(lea)
})

test('the same by keyboard alone', async () => {
  const who = await h.person()
  // how the provider's pages show the focus is the provider's affair
  const keys = await keyboard(who, address => address.startsWith(h.url))
  await who.page.goto('/report')
  await keys.follow('Log in with Acme login')
  assert.ok(who.page.url().startsWith(idp.issuer), who.page.url())
  await keys.to(/login/i, { role: 'textbox' })
  await keys.type('ines')
  await keys.to(/password/i, { role: 'textbox' })
  await keys.type('any')
  await keys.enter()
  if (who.page.url().startsWith(idp.issuer)) await keys.follow('Continue')
  assert.equal(new URL(who.page.url()).pathname, '/report')
  assert.match(await who.page.textContent('.foot .logout'), /ines.*approver/i)
  quiet(who)
})

test('who has no role, or brings an answer that is not theirs, stays outside', async () => {
  const guest = await h.person()
  await logIn(guest, 'guest')
  assert.match(await guest.page.textContent('main'), /Acme login gives you no role here/)
  const thief = await h.person()
  const answer = await thief.page.goto('/login/callback?code=stolen&state=x')
  assert.equal(answer.status(), 409)
  assert.match(await thief.page.textContent('main'), /begun in another browser/)
  await thief.page.goto('/login/callback?error=access_denied')
  await thief.page.waitForURL('**/login')
  quiet(guest, thief)
})
