// Everything again by keyboard alone, with the focus to be seen at every stop.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DESK, PASSWORD, PHONE, house, quiet } from './house.mjs'
import { keyboard } from './keyboard.mjs'

let h, admin
const hours = n => new Date(Date.now() - n * 3600e3).toISOString()

before(async () => {
  h = await house()
  admin = await h.admin()
})
after(async () => { await h?.close() })

test('log in, report, come back', async () => {
  const who = await h.person()
  const keys = await keyboard(who)
  await who.page.goto('/login')
  await keys.fill('Login', 'ada')
  await keys.fill('Password', PASSWORD)
  await keys.enter()
  assert.equal(new URL(who.page.url()).pathname, '/')
  await keys.follow('Report an incident')
  await keys.fill('What happened?', 'Mailing list open')
  await keys.to('Not known', { role: 'radio' })
  await keys.press('ArrowUp')
  await keys.press('ArrowUp')
  await keys.to('Add more')
  await keys.press('Enter')
  // letters choose in a list
  await keys.fill('Entity', 'Acme')
  await keys.follow('Open the incident')
  assert.equal(await who.page.textContent('h1'), 'Mailing list open')
  assert.match(await who.page.textContent('.lede'), /Acme SAS/)
  assert.match(await who.page.textContent('#facts tr:has-text("Personal data")'), /yes/)
  await keys.follow('Board', { role: 'link' })
  assert.equal(new URL(who.page.url()).pathname, '/')
  await who.page.locator('.ob', { hasText: 'Mailing list open' }).first().waitFor()
  quiet(who)
})

test('acknowledge from a mail', async () => {
  const incident = await h.report(admin, { title: 'Badge list copied', entity: 'acme-fr', facts: { personal_data: true, risk: 'risk', 'times.aware': hours(1) } })
  const duty = incident.obligations.find(o => o.duty === 'eu-gdpr-33-authority')
  const link = await h.link('lea@acme.example', 'Badge list copied')
  const has = async () => {
    await admin.page.goto(`/incidents/${incident.id}`)
    return admin.page.locator('tr', { has: admin.page.locator('th a', { hasText: duty.title }) }).locator('[data-l=Who]').textContent()
  }
  assert.equal(await has(), 'nobody')
  const lea = await h.person()
  const keys = await keyboard(lea)
  await lea.page.goto(link)
  // the second of the times that are offered
  await keys.to(/./, { role: 'radio' })
  await keys.press('ArrowRight')
  const chosen = (await lea.page.locator('label:has(:checked)').textContent()).trim()
  await keys.follow('I have it')
  assert.equal(await lea.page.textContent('.note.done h1'), `You have it until ${chosen}`)
  assert.match(await has(), /Lea Fontaine until/)
  // and give it back
  await keys.follow('Give it back')
  assert.equal(await lea.page.textContent('.note.done h1'), 'The next person is told now')
  assert.equal(await has(), 'nobody')
  quiet(lea, admin)
})

/** Round each page, forwards and back, on a desk and where the text is magnified to the width of a telephone. */
async function rounds (pages) {
  const incident = await h.report(admin, {
    title: 'Folder shared with all', entity: 'acme-fr', facts: { personal_data: true, 'times.aware': hours(1) }
  })
  const who = await h.person({ as: admin })
  const keys = await keyboard(who)
  for (const path of pages(incident)) {
    for (const viewport of [DESK, PHONE]) {
      await who.page.setViewportSize(viewport)
      await who.page.goto(path)
      await keys.round()
      await keys.round(true)
    }
  }
  quiet(who)
}

test('what has the focus can be seen, all the way round', async () => {
  await rounds(({ id, obligations: [one] }) => ['/', `/incidents/${id}`, `/obligations/${encodeURIComponent(one.id)}`])
})

test('and where a bar stays at the lower edge', async () => {
  await rounds(({ id }) => ['/report', `/incidents/${id}/what-if`])
})

test('suppose other facts', async () => {
  const incident = await h.report(admin, {
    title: 'Tape not found', entity: 'acme-fr', facts: { personal_data: true, 'times.aware': hours(1) }
  })
  const who = await h.person({ as: admin })
  const keys = await keyboard(who)
  await who.page.goto(`/incidents/${incident.id}`)
  await keys.follow('What if…')
  await keys.to('As is', { role: 'radio' })
  await keys.press('ArrowRight')
  const { name, value } = await who.page.locator('input[type=radio]:checked:not([value=""])').evaluate(({ name, value }) => ({ name, value }))
  await keys.follow('Calculate')
  assert.equal(new URL(who.page.url()).searchParams.get(name), value)
  assert.match(await who.page.textContent('h1'), /^What if .+\?$/)
  await who.page.locator('#diff').waitFor()
  quiet(who)
})

test('decide not to notify, two people', async () => {
  const max = await h.join(admin, { login: 'max', name: 'Max Imum', role: 'approver' })
  const eve = await h.join(admin, { login: 'eve', name: 'Eve Adams', role: 'approver' })
  await h.report(admin, {
    title: 'Laptop left on a train', entity: 'acme-fr',
    facts: { personal_data: true, risk: 'risk', 'times.aware': hours(1), 'affected.FR': 12, encrypted: true }
  })
  const one = await keyboard(max)
  await max.page.goto('/incidents')
  await one.follow('Laptop left on a train')
  await one.follow('Notify the supervisory authority')
  await one.to('Decide not to notify')
  await one.press('Enter')
  await one.fill('Why, in your words', 'The key was not on the device: Art. 33(1).')
  await one.fill('Second approver (optional)', 'eve')
  await one.follow('Decide, or ask for approval')
  assert.equal(await max.page.textContent('#decision h2'), 'Not to notify: waiting for a second person')
  const other = await keyboard(eve)
  await eve.page.goto('/')
  await other.follow('Decisions')
  await other.follow('Approve: record that this is not notified')
  assert.match(await eve.page.textContent('.note.done'), /approved and on record/)
  await max.page.reload()
  assert.equal(await max.page.textContent('#decision h2'), 'Decided not to notify')
  quiet(max, eve)
})

test('file with a proof', async () => {
  const incident = await h.report(admin, {
    title: 'Substation network down', entity: 'grid-it', facts: { significant: true, 'times.aware': hours(2), 'times.detected': hours(2) }
  })
  const first = incident.obligations.find(o => o.duty === 'it-nis2-notification')
  const who = await h.person({ as: admin })
  const keys = await keyboard(who)
  // a key opens the system's own window, which no test can type into: what it would answer is put in its place. Whoever waits
  // for it must have begun before the key, or the window opens and stops the page
  const chooser = who.page.waitForEvent('filechooser', { timeout: 60_000 })
  await who.page.goto(`/incidents/${incident.id}`)
  await keys.follow(first.title)
  await keys.follow('Record the filing', { role: 'link' })
  await keys.fill(/^Reference/, 'CSIRT-2026-0042')
  await keys.to(/^Proof/)
  await keys.press('Enter')
  await (await chooser).setFiles({ name: 'receipt.txt', mimeType: 'text/plain', buffer: Buffer.from('received, thank you') })
  await keys.to('the first part', { role: 'radio' })
  await keys.press('ArrowRight')
  await keys.follow('Record the filing', { role: 'button' })
  const filed = who.page.locator('section', { has: who.page.locator('h2', { hasText: /^Filed$/ }) })
  assert.match(await filed.textContent(), /, complete.*reference CSIRT-2026-0042.*proof sha256 [0-9a-f]{64}/)
  quiet(who)
})

test('export', async () => {
  const who = await h.person({ as: admin })
  const keys = await keyboard(who)
  await who.page.goto('/incidents')
  await keys.follow('Substation network down')
  // the second of that name: the first is in the navigation
  await keys.to('What if…')
  await keys.follow('Evidence')
  await keys.follow('Export…')
  await keys.to('Make the bundle')
  const [download] = await Promise.all([who.page.waitForEvent('download'), keys.press('Enter')])
  await h.verified(download)
  quiet(who)
})
