create table account (
  id int primary key,
  owner text collate "C" not null,
  balance numeric(12,2) default 0 constraint balance_not_negative check (balance >= 0),
  email text unique
);
create table payment (
  id bigint generated always as identity primary key,
  account int not null references account (id) on delete cascade,
  amount numeric not null,
  note varchar(20) default 'none'::character varying
);
create index payment_account_idx on payment (account) where amount > 10;
create unique index payment_note_idx on payment (lower(note::text));
comment on table account is 'Who has what';
create view rich as select id, owner from account where balance > 1000;
create materialized view totals as select account, sum(amount) as total from payment group by account;
create sequence ticket start 5 increment 2;
create table measure (day date not null, value real) partition by range (day);
create table measure_2026 partition of measure for values from ('2026-01-01') to ('2027-01-01');
create function add(a int, b int default 1) returns int language sql as 'select a + b';
create procedure tidy() language sql as 'select 1';
create function touched() returns trigger language plpgsql as 'begin return new; end';
create trigger account_touched before update on account for each row execute function touched();
insert into account values (1, 'ada', 5, 'a@example.org'), (2, 'bob', 2000.5, null);
insert into payment (account, amount, note) values (1, 10, 'a'), (2, 20.5, E'two\nlines'), (2, 30, null);
