// Nobody here runs scripts: from the link on the console to the bundle that is handed over.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { PASSWORD, PHONE, house, quiet } from './house.mjs'

const scripts = false
let h, admin, max, eve
before(async () => { h = await house() })
after(async () => { await h?.close() })

const hours = n => new Date(Date.now() - n * 3600e3).toISOString()
const page = of => `/obligations/${encodeURIComponent(of.id)}`

test('set up, take an invitation, log in', async () => {
  admin = await h.admin({ scripts })
  assert.match(await admin.page.textContent('main .kv'), /Ada Berg.*admin/)
  max = await h.join(admin, { login: 'max', name: 'Max Imum', role: 'approver' }, { scripts })
  eve = await h.join(admin, { login: 'eve', name: 'Eve Adams', role: 'approver' }, { scripts })
  await max.page.click('text=Log out')
  await max.page.waitForURL('**/login')
  await max.page.fill('#login', 'max')
  await max.page.fill('#password', PASSWORD)
  await max.page.click('form >> text=Log in')
  await max.page.waitForURL(`${h.url}/`)
  assert.equal(await max.page.textContent('.foot .logout a'), 'max, approver')
  quiet(admin, max, eve)
})

test('report, read, answer, take', async () => {
  const who = await h.person({ as: admin, scripts, viewport: PHONE })
  await who.page.goto('/report')
  await who.page.fill('#t', 'Reported without scripts')
  await who.page.click('text=Add more')
  await who.page.selectOption('#e', 'acme-fr')
  await who.page.click('text=Open the incident')
  await who.page.waitForURL('**/incidents/**')
  assert.equal(await who.page.textContent('h1'), 'Reported without scripts')
  await who.page.click('#facts summary >> text=Add a fact')
  await who.page.fill('#fk', 'personal_data')
  await who.page.fill('#value', 'yes')
  await who.page.click('text=Assert the fact')
  await who.page.locator('#facts tr', { hasText: /Personal data\s*yes/ }).waitFor()
  await who.page.goto('/')
  await who.page.click('main .ob a >> text="Notify the supervisory authority"')
  await who.page.waitForURL('**/obligations/**')
  const holder = who.page.locator('#take .ladder li', { hasText: /has it/ })
  assert.equal(await holder.count(), 0)
  await who.page.click('button >> text=I have it')
  await holder.waitFor()
  assert.match(await holder.textContent(), /ada/i)
  quiet(who)
})

test('take it from a mail', async () => {
  const incident = await h.report(admin, { title: 'Badge list copied', entity: 'acme-fr', facts: { personal_data: true, 'times.aware': hours(1) } })
  const lea = await h.person({ scripts, viewport: PHONE })
  await lea.page.goto(await h.link('lea@acme.example', 'Badge list copied'))
  await lea.page.locator('main >> text="Nobody has it."').first().waitFor()
  await lea.page.click('button >> text="I have it"')
  await lea.page.locator('.note.done h1', { hasText: /^You have it until / }).waitFor()
  await admin.page.goto(page(incident.obligations.find(o => o.duty === 'eu-gdpr-33-authority')))
  await admin.page.locator('#take .ladder li', { hasText: /Lea Fontaine.*has it/ }).waitFor()
  quiet(lea, admin)
})

test('decide not to notify: one asks, the other approves', async () => {
  const incident = await h.report(admin, {
    title: 'Laptop left on a train', entity: 'acme-fr',
    facts: { personal_data: true, risk: 'risk', 'times.aware': hours(1), 'affected.FR': 12, encrypted: true }
  })
  await max.page.goto(page(incident.obligations.find(o => o.duty === 'eu-gdpr-33-authority')))
  await max.page.click('summary >> text=Decide not to notify')
  await max.page.fill('#wr', 'The key was not on the device: Art. 33(1).')
  await max.page.fill('#w2', 'eve')
  await max.page.click('text=Ask for approval')
  await max.page.locator('#decision h2', { hasText: 'waiting for a second person' }).waitFor()
  await eve.page.goto('/decisions')
  await eve.page.click('text=Approve: record that this is not notified')
  await eve.page.locator('.note.done', { hasText: 'approved and on record' }).waitFor()
  await max.page.reload()
  assert.equal(await max.page.textContent('#decision h2'), 'Decided not to notify')
  quiet(max, eve)
})

test('file with a proof, and export', async () => {
  const incident = await h.report(admin, {
    title: 'Substation network down', entity: 'grid-it', facts: { significant: true, 'times.aware': hours(2), 'times.detected': hours(2) }
  })
  await max.page.goto(page(incident.obligations.find(o => o.duty === 'it-nis2-notification')))
  await max.page.fill('#fr', 'CSIRT-2026-0042')
  await max.page.setInputFiles('#fp', { name: 'receipt.txt', mimeType: 'text/plain', buffer: Buffer.from('received, thank you') })
  await max.page.click('label >> text="complete"')
  await max.page.click('button >> text=Record the filing')
  await max.page.locator('.hash', { hasText: /proof sha256 [0-9a-f]{64}/ }).waitFor()
  await admin.page.goto(`/incidents/${incident.id}/evidence`)
  assert.equal(await admin.page.locator('#export').isVisible(), false)
  await admin.page.click('text=Export…')
  const [download] = await Promise.all([admin.page.waitForEvent('download'), admin.page.click('text=Make the bundle')])
  await h.verified(download)
  quiet(max, admin)
})
