// One incident from a phone at night to a bundle that a regulator checks.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { DESK, PHONE, accessible, house, quiet } from './house.mjs'

let h, admin, responder
before(async () => {
  h = await house()
  admin = await h.admin()
  responder = await h.join(admin, { login: 'kim', name: 'Kim Ode', role: 'responder' }, { viewport: PHONE })
})
after(async () => { await h?.close() })

/** The row of a board. */
const onBoard = (page, incident, title) => page.locator('.ob', { hasText: incident }).filter({ has: page.locator(`h3 >> text="${title}"`) })

test('reported from a phone in under a minute, with one field and what is known', async () => {
  const { page } = responder
  const began = Date.now()
  await page.goto('/')
  await accessible(responder, 'an empty board on a phone')
  await page.goto('/report')
  await page.fill('#t', 'Customer export open on the web')
  await page.locator('input[name=noticed][value=now]').check({ force: true })
  await page.locator('input[name=personal][value=yes]').check({ force: true })
  await page.click('text=Add more')
  await page.selectOption('#e', 'acme-fr')
  await page.click('text=Open the incident')
  await page.waitForURL('**/incidents/**')
  assert.ok(Date.now() - began < 60_000)
  await accessible(responder, 'the incident on a phone')
  assert.equal(await page.textContent('h1'), 'Customer export open on the web')
  await page.goto('/')
  await accessible(responder, 'the board on a phone')
  const row = onBoard(page, 'Customer export open on the web', 'Notify the supervisory authority')
  assert.ok(Date.parse(await row.locator('[data-due]').getAttribute('data-due')) > Date.now(), 'its clock runs')
  quiet(responder)
})

test('acknowledged from a mail, without a login', async () => {
  const link = await h.link('lea@acme.example', 'Customer export open on the web')
  const who = async () => {
    await admin.page.goto('/')
    return onBoard(admin.page, 'Customer export open on the web', 'Notify the supervisory authority').locator('.who').textContent()
  }
  const before = await who()
  assert.doesNotMatch(before, /has it/)
  const lea = await h.person({ viewport: PHONE })
  await lea.page.goto(link)
  await accessible(lea, 'the page behind the link')
  await lea.page.locator('.note', { hasText: 'Nothing has happened yet.' }).waitFor()
  // looking changes nothing
  assert.equal(await who(), before)
  await lea.page.click('button >> text="I have it"')
  await lea.page.locator('.note.done h1', { hasText: /^You have it until \d/ }).waitFor()
  await accessible(lea, 'after taking it')
  assert.match(await who(), /Lea Fontaine has it/)
  quiet(lea, admin)
})

test('decided not to notify by two people', async () => {
  const max = await h.join(admin, { login: 'max', name: 'Max Imum', role: 'approver' })
  const eve = await h.join(admin, { login: 'eve', name: 'Eve Adams', role: 'approver' })
  const incident = await h.report(admin, {
    title: 'Laptop left on a train', entity: 'acme-fr',
    facts: { personal_data: true, 'times.aware': new Date(Date.now() - 3600e3).toISOString(), 'affected.FR': 12, encrypted: true }
  })
  const obligation = incident.obligations.find(o => o.duty === 'eu-gdpr-33-authority')
  const address = `/obligations/${encodeURIComponent(obligation.id)}`
  await max.page.goto(address)
  await accessible(max, 'a deadline receipt')
  await max.page.click('summary >> text=Decide not to notify')
  await max.page.fill('#wr', 'Encrypted by a key that was not on the device: a risk is unlikely, Art. 33(1).')
  await max.page.fill('#w2', 'eve')
  await max.page.click('text=Ask for approval')
  await max.page.locator('#decision h2', { hasText: 'Not to notify: waiting for a second person' }).waitFor()
  // who asked cannot approve, who may not decide sees no button
  assert.equal(await max.page.locator('text=Approve the decision').count(), 0)
  const own = await max.page.evaluate(async waiver => {
    const answer = await fetch(waiver, { method: 'POST', body: new URLSearchParams({ why: 'Once more.' }) })
    return `${answer.status} ${await answer.text()}`
  }, `${address}/waiver`)
  assert.match(own, /^403 [^]*the second approver must be another person/)
  await responder.page.goto(address)
  assert.equal(await responder.page.textContent('#decision h2'), 'Not to notify: waiting for a second person')
  assert.equal(await responder.page.locator('text=Approve the decision').count(), 0)
  await eve.page.goto(address)
  await accessible(eve, 'a decision that waits')
  await eve.page.click('text=Approve the decision not to notify')
  await eve.page.locator('#decision h2', { hasText: 'Decided not to notify' }).waitFor()
  assert.equal(await eve.page.textContent('.head .mark'), 'Not notified')
  quiet(max, eve, responder)
})

test('filed with its proof: the final report begins to run', async () => {
  const aware = new Date(Date.now() - 2 * 3600e3).toISOString()
  const incident = await h.report(admin, {
    title: 'Substation network down', entity: 'grid-it', facts: { significant: true, 'times.aware': aware, 'times.detected': aware }
  })
  const first = incident.obligations.find(o => o.duty === 'it-nis2-notification')
  const final = responder.page.locator('tr', { has: responder.page.locator('a[href*="it-nis2-final%40"]') })
  const state = async () => {
    await responder.page.goto(`/incidents/${incident.id}`)
    return final.locator('.mark').textContent()
  }
  await responder.page.setViewportSize(DESK)
  assert.equal(await state(), 'Waiting')
  assert.equal(await final.locator('time').count(), 0)
  await responder.page.goto(`/obligations/${encodeURIComponent(first.id)}`)
  await responder.page.fill('#fr', 'CSIRT-2026-0042')
  await responder.page.setInputFiles('#fp', { name: 'receipt.txt', mimeType: 'text/plain', buffer: Buffer.from('received, thank you') })
  await responder.page.locator('input[name=part][value=complete]').check({ force: true })
  await responder.page.click('button >> text=Record the filing')
  const filed = responder.page.locator('section', { has: responder.page.locator('h2', { hasText: /^Filed$/ }) })
  assert.match(await filed.textContent(), /, complete.*reference CSIRT-2026-0042.*proof sha256 [0-9a-f]{64}/)
  await accessible(responder, 'a filed obligation')
  assert.equal(await state(), 'Running')
  // within a month of the notification
  const days = (Date.parse(await final.locator('[data-due]').getAttribute('data-due')) - Date.now()) / 86400e3
  assert.ok(days > 26 && days < 32, `${days} days`)
  await accessible(responder, 'the incident')
  quiet(responder)
})

test('exported, and verified with what every machine has', async () => {
  await admin.page.goto('/incidents')
  await accessible(admin, 'incidents')
  await admin.page.click('text=Substation network down')
  await admin.page.goto(`${new URL(admin.page.url()).pathname}/evidence#export`)
  await accessible(admin, 'the export form')
  const [download] = await Promise.all([admin.page.waitForEvent('download'), admin.page.click('text=Make the bundle')])
  const out = await h.verified(download)
  // the report in it stands alone: no script, nothing from outside
  const reader = await h.person()
  const asked = []
  reader.page.on('request', request => { if (!request.url().startsWith('file:')) asked.push(request.url()) })
  await reader.page.goto(`file://${join(out, 'report.html')}`)
  assert.match(await reader.page.textContent('h1'), /Substation network down/)
  assert.deepEqual(asked, [])
  // one entry changed, and it does not verify
  writeFileSync(join(out, 'entries', '000001.json'), '{}\n')
  assert.throws(() => execFileSync('python3', ['verify.py'], { cwd: out, stdio: 'pipe' }), /Command failed/)
  quiet(admin)
})
