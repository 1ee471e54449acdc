-- Run once by the postgres image, on an empty volume: the application's role owns its database and is no superuser.
\getenv password DATABASE_PASSWORD
CREATE ROLE pipemirror LOGIN PASSWORD :'password';
CREATE DATABASE pipemirror OWNER pipemirror;
REVOKE ALL ON DATABASE pipemirror FROM PUBLIC;
