// One incident from a phone at night to a bundle that a regulator checks.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { DESK, PHONE, accessible, house, quiet, until } from './house.mjs'

let h, admin, responder
before(async () => {
  h = await house()
  admin = await h.admin()
  responder = await h.join(admin, { login: 'kim', name: 'Kim Ode', role: 'responder' }, { viewport: PHONE })
})
after(async () => { await h?.close() })

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
  assert.match(await page.textContent('main'), /Customer export open on the web/)
  await page.goto('/')
  await accessible(responder, 'the board on a phone')
  assert.match(await page.textContent('main'), /Notify the supervisory authority/)
  quiet(responder)
})

test('acknowledged from a mail, without a login', async () => {
  const mail = await until(() => h.mails.find(mail => mail.to.includes('lea@acme.example') && /\/a\//.test(mail.text)),
    () => `no mail: ${h.said()}`)
  const link = mail.text.match(/http:\/\/\S+\/a\/\S+/)[0]
  const lea = await h.person({ viewport: PHONE })
  await lea.page.goto(link)
  await accessible(lea, 'the page behind the link')
  assert.match(await lea.page.textContent('main'), /Nothing has happened yet/)
  // looking changes nothing
  await admin.page.goto('/')
  assert.match(await admin.page.textContent('main'), /nobody/i)
  await lea.page.click('text=I have it >> nth=-1')
  await until(async () => /you have it|has it|until/i.test(await lea.page.textContent('main')))
  await accessible(lea, 'after taking it')
  await admin.page.goto('/')
  assert.match(await admin.page.textContent('main'), /Lea/)
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
  await until(async () => /waiting for a second person/.test(await max.page.textContent('main')))
  // who asked cannot approve, who may not decide sees no button
  await responder.page.goto(address)
  assert.equal(await responder.page.locator('text=Approve the decision').count(), 0)
  await eve.page.goto(address)
  await accessible(eve, 'a decision that waits')
  await eve.page.click('text=Approve the decision not to notify')
  await until(async () => /Decided not to notify/.test(await eve.page.textContent('main')))
  quiet(max, eve, responder)
})

test('filed with its proof: the final report begins to run', async () => {
  const aware = new Date(Date.now() - 2 * 3600e3).toISOString()
  const incident = await h.report(admin, {
    title: 'Substation network down', entity: 'grid-it', facts: { significant: true, 'times.aware': aware, 'times.detected': aware }
  })
  const first = incident.obligations.find(o => o.duty === 'it-nis2-notification')
  await responder.page.setViewportSize(DESK)
  await responder.page.goto(`/obligations/${encodeURIComponent(first.id)}`)
  await responder.page.fill('#fr', 'CSIRT-2026-0042')
  await responder.page.setInputFiles('#fp', { name: 'receipt.txt', mimeType: 'text/plain', buffer: Buffer.from('received, thank you') })
  await responder.page.locator('input[name=part][value=complete]').check({ force: true })
  await responder.page.click('button >> text=Record the filing')
  await until(async () => /CSIRT-2026-0042/.test(await responder.page.textContent('main')))
  assert.match(await responder.page.textContent('main'), /proof sha256 [0-9a-f]{64}/)
  await accessible(responder, 'a filed obligation')
  await responder.page.goto(`/incidents/${incident.id}`)
  const final = responder.page.locator('tr', { has: responder.page.locator('a[href*="it-nis2-final"]') }).first()
  assert.match(await final.textContent(), /Running|before|by/)
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
  const dir = mkdtempSync(join(tmpdir(), 'breachclock-bundle-'))
  await download.saveAs(join(dir, 'bundle.zip'))
  execFileSync('python3', ['-m', 'zipfile', '-e', 'bundle.zip', 'out'], { cwd: dir })
  const at = { cwd: join(dir, 'out'), encoding: 'utf8' }
  execFileSync('sha256sum', ['--strict', '--quiet', '-c', 'SHA256SUMS'], at)
  assert.match(execFileSync('python3', ['verify.py'], at), /VERIFIED/)
  assert.match(execFileSync(h.binary, ['evidence', 'verify', join(dir, 'bundle.zip')], { encoding: 'utf8' }), /VERIFIED/)
  // the report in it stands alone: no script, nothing from outside
  const reader = await h.person()
  const asked = []
  reader.page.on('request', request => { if (!request.url().startsWith('file:')) asked.push(request.url()) })
  await reader.page.goto(`file://${join(dir, 'out', 'report.html')}`)
  assert.match(await reader.page.textContent('body'), /Substation network down/)
  assert.deepEqual(asked, [])
  writeFileSync(join(dir, 'out', 'entries', '000001.json'), '{}\n')
  assert.throws(() => execFileSync('python3', ['verify.py'], { ...at, stdio: 'pipe' }))
  quiet(admin)
})
