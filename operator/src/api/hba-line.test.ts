import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hbaLineProblem } from './hba-line.ts';

test.each([
  'host all all all scram-sha-256',
  'hostssl app app 10.0.0.0/8 cert',
  'hostnossl all all all reject',
  '\thost  all\t+readers,"my role",  other  192.168.1.7 255.255.255.255  md5   # a comment',
  'host sameuser all samenet scram-sha-256',
  'host all /^app_(a|b)[]\\)]$ ::1/128 trust',
  'host "all" "/name" .example.com scram-sha-256',
  'host all all db-1.example.com. reject',
  'host replication all fe80::1 ffff:: reject',
  'hostssl all all all scram-sha-256 clientcert=verify-full',
  'hostssl all all all cert clientname=DN',
  'hostssl all all all cert clientcert=verify-full',
  'host all all 0.0.0.0/0 radius radiusservers="a,b" radiussecrets=c',
  'host all "quo""ted" all scram-sha-256',
])('%s is taken', (line) => {
  expect(hbaLineProblem(line)).toBeUndefined();
});

test.each([
  ['local all all trust', /'local': clients come by the network alone/],
  ['include other.conf', /no file to include/],
  ['include_dir conf.d', /no file to include/],
  ['hostgssenc all all all reject', /no GSSAPI/],
  ['HOST all all all reject', /'HOST'; use host, hostssl/],
  ['host,hostssl all all all reject', /begins with 'host'/],
  ['', /says nothing/],
  ['   # only a comment', /says nothing/],
  ['host', /ends before the databases/],
  ['host all', /ends before the users/],
  ['host all all', /ends before the address/],
  ['host all all all', /ends before the method/],
  ['host @dbs all all reject', /names the file '@dbs'/],
  ['host all @users all reject', /names the file '@users'/],
  ['host all "" all reject', /empty name among its users/],
  ['host all /a(b all reject', /'\(' that is not closed/],
  ['host all /a[b all reject', /'\[' that is not closed/],
  ['host "/a)" all all reject', /'\)' too many/],
  ['host all / all reject', /it is empty/],
  ['host all "open all reject', /a quote that is not closed/],
  ['host all all 10.0.0.0 reject', /10.0.0.0\/32 for one machine/],
  ['host all all ::1 reject', /::1\/128 for one machine/],
  ['host all all 10.0.0.0/33 reject', /not from 0 to 32/],
  ['host all all ::/129 reject', /not from 0 to 128/],
  ['host all all 10.0.0/8 reject', /which is none/],
  ['host all all 10.0.0.256 reject', /which is none/],
  ['host all all 10.0.0.0 ffff:: reject', /of two kinds/],
  ['host all all a_b!c reject', /no host's name/],
  ['host all all 10.0.0.0/8,11.0.0.0/8 reject', /several addresses/],
  ['host all all all reject,trust', /several methods/],
  ['host all a , b all reject', /a comma without a word before it/],
  ['host all a,,b all reject', /a comma without a word before it/],
  ['host all all all ldap ldapserver=x', /'ldap', which is not part of this build/],
  ['host all all all pam', /not part of this build/],
  ['host all all all gss', /not part of this build/],
  ['host all all all peer', /local connections alone/],
  ['host all all all oauth issuer=x scope=y', /needs a library that checks tokens/],
  ['host all all all scram', /'scram', which there is not; use reject, trust, scram-sha-256/],
  ['host all all all toString', /'toString', which there is not/],
  ['host all all all cert', /begin it with hostssl/],
  ['host all all all scram-sha-256 clientcert=verify-full', /begin it with hostssl/],
  ['hostssl all all all cert clientcert=verify-ca', /nothing less/],
  ['hostssl all all all md5 clientcert=1', /clientcert=1; use verify-full/],
  ['hostssl all all all cert clientname=X', /use CN or DN/],
  ['hostssl all all all cert map=m', /no map of user names/],
  ['host all all all md5 verify', /options are written name=value/],
  ['host all all all md5 colour=red', /'colour', which the method 'md5' does not know/],
  ['host all all all radius radiusservers=a', /needs the option radiussecrets/],
  ['host all all all radius radiusservers= radiussecrets=c', /'radiusservers' without a value/],
  ['host all all all reject \\', /ends with '\\'/],
  ['host all all all\nreject', /line break/],
])('%s is refused, and the wrong word is named', (line, problem) => {
  expect(hbaLineProblem(line)).toMatch(problem);
});

test('any text is judged, and none by what comes after its comment', () => {
  const words = fc.constantFrom(
    'host',
    'hostssl',
    'all',
    ',',
    '"',
    '#',
    ' ',
    '10.0.0.0/8',
    '::1',
    'reject',
    '=',
    '/',
    '(',
    '\\',
    '\t',
    'x',
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 12 }), fc.string(), (parts, comment) => {
      const line = parts.join('');
      const problem = hbaLineProblem(line);
      expect([undefined, 'string']).toContain(problem === undefined ? undefined : typeof problem);
      const tail = comment.replaceAll(/[\n\r\0]/g, '').replace(/\\\s*$/, '');
      // What ends in quotes that are open takes the comment for a part of them.
      if (problem === undefined) expect(hbaLineProblem(`${line} #${tail}`)).toBeUndefined();
    }),
  );
});
