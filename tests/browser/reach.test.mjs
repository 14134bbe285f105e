// Pages for everybody: in the dark, on the smallest screen, for whoever may see only a part.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DESK, NARROWEST, PHONE, house, quiet, until } from './house.mjs'

let h, admin
const hours = n => new Date(Date.now() - n * 3600e3).toISOString()

before(async () => {
  h = await house()
  admin = await h.admin()
  await h.report(admin, { title: 'French secret', entity: 'acme-fr', facts: { personal_data: true, 'times.aware': hours(0.5) } })
  await h.report(admin, { title: 'Italian outage', entity: 'grid-it', facts: { significant: true, 'times.aware': hours(0.5) } })
})
after(async () => { await h?.close() })

const PAGES = ['/', '/incidents', '/decisions', '/report', '/evidence', '/people', '/readiness', '/account', '/sheet', '/law/changes', '/access', '/settings']

test('these browsers complain of an error and of a broken policy, with scripts and without', async () => {
  for (const scripts of [true, false]) {
    const who = await h.person({ scripts })
    await who.page.goto('/login')
    assert.deepEqual(who.complaints, [])
    await who.page.evaluate(() => { document.body.append(Object.assign(new Image(), { src: 'http://127.0.0.2/a.png' })) })
    await until(() => who.complaints.some(text => /Content Security Policy/.test(text)), () => `no complaint: ${who.complaints}`)
    await who.page.evaluate(() => console.error('a fault'))
    assert.ok(who.complaints.includes('console: a fault'), who.complaints.join())
  }
})

test('a client of one entity sees nothing of another', async () => {
  const client = await h.join(admin, { login: 'rosa', name: 'Rosa Rete', role: 'approver', entity: 'grid-it' })
  for (const path of PAGES) {
    await client.page.goto(path)
    const text = await client.page.textContent('body')
    assert.ok(!/French secret|Acme SAS|acme-fr|CNIL/.test(text), `${path} shows another entity`)
  }
  await client.page.goto('/')
  assert.match(await client.page.textContent('main'), /Italian outage/)
  await admin.page.goto('/incidents')
  await admin.page.click('text=French secret')
  const answer = await client.page.goto(new URL(admin.page.url()).pathname)
  assert.equal(answer.status(), 404)
  assert.ok(!/French/.test(await client.page.textContent('body')))
  quiet(client)
})

test('every page in light and dark, wide and narrow', async () => {
  await h.everywhere(admin, PAGES)
})

test('what is overdue, in light and dark, wide and narrow', async () => {
  const late = await h.report(admin, {
    title: 'Mailbox read by others', entity: 'acme-fr', facts: { personal_data: true, risk: 'risk', 'times.aware': hours(76), 'affected.FR': 40 }
  })
  const obligation = late.obligations.find(o => o.duty === 'eu-gdpr-33-authority')
  const address = `/obligations/${encodeURIComponent(obligation.id)}`
  const link = new URL(await h.link('lea@acme.example', 'Mailbox read by others')).pathname
  // each page says it in words, not by its colour alone
  const { page } = admin
  const reads = { '/': '.ob.is-late .left', [`/incidents/${late.id}`]: 'td:has-text("late")', [address]: '.dates', [link]: '.bigcount', '/sheet': 'main' }
  for (const [path, where] of Object.entries(reads)) {
    await page.goto(path)
    assert.match(await page.locator(where).first().textContent(), /late/i, path)
  }
  await h.everywhere(admin, Object.keys(reads))
  // filed late, and the reasons still missing
  await page.goto(address)
  await page.click('label >> text="complete"')
  await page.click('button >> text=Record the filing')
  await page.locator('.note.late', { hasText: 'The reasons for the delay are missing.' }).waitFor()
  await h.everywhere(admin, [address, '/'])
  quiet(admin)
})

test('an overdue obligation on the narrowest screen', async () => {
  const late = await h.report(admin, {
    title: 'Archive read by others', entity: 'acme-fr', facts: { personal_data: true, risk: 'risk', 'times.aware': hours(76) }
  })
  const { id } = late.obligations.find(o => o.duty === 'eu-gdpr-33-authority')
  await h.everywhere(admin, [`/obligations/${encodeURIComponent(id)}`], [NARROWEST])
})
