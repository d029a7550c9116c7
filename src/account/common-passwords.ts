/**
 * What guessing programs try first, gathered by hand from what is found again and again in published breaches. It is no
 * list of whole passwords: `password-policy.ts` looks for passwords that are made of little else than these.
 */

const lines = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** Words and names, lower case. */
export const commonWords: ReadonlySet<string> = new Set(
  lines(`
  password passwort motdepasse contrasena contraseña senha parola wachtwoord haslo salasana losenord lozinka parol пароль heslo jelszo sifre
  passwd passphrase passcode pass secret secure security private login signin logon account username user admin administrator root master
  system server default guest public test testing tester demo sample example temp temporary change changeme changeit letmein openup
  opensesame sesame welcome willkommen bienvenue bienvenido benvenuto access enter entry hello hallo bonjour hola goodbye whatever nothing
  something anything everything none null undefined blank empty unknown trustno1 trustnoone noone nobody somebody starwars startrek matrix
  pokemon pikachu naruto minecraft roblox fortnite nintendo playstation xbox google facebook twitter instagram youtube amazon apple iphone
  android windows microsoft linux ubuntu samsung internet computer laptop network website email gmail yahoo hotmail outlook linkedin adobe
  myspace dropbox github oracle mysql postgres wordpress cisco love lover lovely loveme loveyou iloveyou iloveu ilove you iloveme teamo tequiero
  jetaime ichliebedich tiamo forever always never together baby babygirl babyboy honey sugar sweet sweetie sweetheart darling angel angels princess
  prince queen king kingdom kitty kitten cat cats dog dogs doggy puppy monkey donkey tiger lion dragon dragons unicorn horse horses pony bear
  wolf eagle falcon hawk phoenix shark dolphin whale turtle rabbit bunny chicken turkey spider snake butterfly bird fish flower flowers rose
  roses daisy lily sunflower sunshine sunny summer winter spring autumn fall january february march april may june july august september october
  november december monday tuesday wednesday thursday friday saturday sunday morning night midnight today tomorrow birthday christmas xmas easter
  halloween holiday vacation football soccer baseball basketball hockey tennis golf cricket rugby swimming running fishing hunting racing
  arsenal chelsea liverpool manchester united everton barcelona realmadrid juventus milan bayern lakers cowboys yankees steelers
  patriots packers eagles raiders broncos redskins dodgers redsox tigers panthers bulldogs rangers champion champions winner winning team player
  game games gamer gaming hunter hunter2 ranger ninja samurai warrior soldier killer assassin sniper shadow ghost devil demon satan lucifer heaven
  hell jesus christ jesuschrist jesuslovesme god godisgood godislove bible church faith hope grace blessed blessing blessings amen allah bismillah
  inshallah mohammed muhammad krishna shiva ganesh buddha superman batman spiderman ironman hulk thor captain america avengers marvel joker
  robin superstar rockstar star stars moon sun earth world planet galaxy universe space rocket thunder lightning storm rain snow fire ice water
  ocean river mountain forest garden island beach paradise london paris berlin madrid rome newyork chicago boston dallas texas california florida
  england germany france italy spain brazil brasil canada mexico india china japan russia australia africa american merlin wizard magic potter
  harrypotter hogwarts gandalf frodo hobbit lordoftherings skywalker vader yoda music guitar piano drummer metallica nirvana slipknot
  eminem beatles elvis freedom peace liberty justice power strong strength victory success money rich dollar cash gold golden silver diamond
  platinum crystal pearl black white red blue green yellow orange purple pink brown grey gray rainbow cookie cookies chocolate candy cherry
  banana strawberry pepper ginger coffee pizza burger cheese butter pumpkin peanut peaches mustang corvette camaro ferrari porsche mercedes
  toyota honda harley yamaha kawasaki suzuki bmw audi ford chevy jeep truck driver racer michael michelle jennifer jessica ashley amanda
  nicole daniel david matthew joshua andrew anthony joseph robert william thomas charles charlie george james john johnny jordan justin
  brandon tyler ryan kevin brian jason steven patrick nicholas alexander alexandra alex samantha sarah sara emily emma hannah olivia sophia
  sophie isabella lauren rachel rebecca elizabeth victoria vanessa natalie natasha danielle stephanie melissa christina christine christopher
  chris martin peter paul mark maria marie anna andrea angela monica laura linda lisa susan sandra karen barbara patricia mary maggie molly
  bella buddy max lucky rocky bailey cooper toby jack jackson jake sam samuel benjamin ben oliver oscar harry henry louis lucas leo diego carlos
  juan jose miguel antonio francisco fernando ricardo eduardo alejandro gabriel rafael pedro pablo mario luigi marco giovanni francesco alessandro
  andreas stefan thorsten jurgen hans klaus ivan dmitri sergey natalia olga tatiana svetlana ahmed mohamed fatima family mother father mommy mummy
  daddy brother sister sisters children friend friends friendship bestfriend boyfriend girlfriend husband wife marriage married happy happiness
  smile smiley funny crazy stupid idiot asshole bastard bitch fuck fuckyou fuckme fuckoff fucker motherfucker shit bullshit dick pussy sexy sex
  hot cool awesome amazing beautiful pretty cute perfect special number one two three four five six seven eight nine ten eleven twelve hundred
  thousand million first second third last new old big little small great good better best bad my mine me i im iam the a an is are this that it
  its in on of for to with your our we and or not no yes please thank thanks thankyou sorry correct horse battery staple remember forget key keys
  code pin word words phrase company office work worker manager director business home brand school student teacher college university class
  qwerty qwertz azerty qwert asdf asdfgh zxcvbn zxcvbnm poiuyt lkjhgf mnbvcx dvorak йцукен abc abcd xyz aaa xxx zzz blah lol lmao omg wtf rofl yolo
  swag dude bro boss chief doctor police agent bond jamesbond spider cyber hacker hack hacking virus matrix neo trinity morpheus zion apollo zeus
  athena artemis hercules odin loki freya cloud strike falling dream dreams dreamer believe live life living death dead die alive born angelina`),
);

/** Rows and columns of keyboards, and orders that everybody knows; also read backwards. */
export const walks: readonly string[] = lines(`
  qwertyuiop[]\\ asdfghjkl;' zxcvbnm,./ qwertyuiopasdfghjklzxcvbnm qwertzuiop azertyuiop qsdfghjklm wxcvbn йцукенгшщзхъ фывапролджэ ячсмитьбю
  \`1234567890-= 12345678901234567890 01234567890123456789 !@#$%^&*()_+ 1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/ qazwsxedcrfvtgbyhnujmikolp
  1q2w3e4r5t6y7u8i9o0p q1w2e3r4t5y6u7i8o9p0 zaq12wsxcde34rfvbgt56yhnmju78ik,lo90 zaqxswcdevfrbgtnhymjukilop 147258369 159357 789456123
  abcdefghijklmnopqrstuvwxyz a1b2c3d4e5f6g7h8i9j0 1a2b3c4d5e6f7g8h9i0j 3141592653589793238462643383279502884 2718281828459045 11235813213455
  qweasdzxcrtyfghvbnuiojklm qweasdzxc123 112233445566778899 aabbccddeeffgghhiijjkkllmmnnooppqqrrssttuuvvwwxxyyzz`);

/** Whole passwords that published breaches hold in number although no pattern gives them away; lower case. */
export const breachedPasswords: ReadonlySet<string> = new Set(
  lines(`
  correcthorsebatterystaple tr0ub4dor&3 troub4dor&3 j38ifubn d1lakiss fqrg7cs493 3rjs1la7qe yagjecc826 groupd2013 g_czechout diosesfiel
  pe#5gz29ptzmse exigent yuantuo2012 xxx123xxx1234 eqes606898 zxcv1234 asdf1234 q1w2e3r4 ncc1701d ncc1701e thx1138 jordan23 rush2112 bond007
  8675309 4815162342 6969696969 0987654321 5201314520 woaini1314 woaini1314520 5201314woaini caonima123 wojiushiwo zhang123 li123456
  thereisnospoon maytheforcebewithyou thequickbrownfox thequickbrownfoxjumpsoverthelazydog tobeornottobe whatisyourname thisismypassword
  mynameisearl iamthebest myspace1 supercalifragilisticexpialidocious chocolatechipcookie ilovemyself1234 onceuponatime
  1qazxsw23edcvfr4 zaq1xsw2cde3vfr4 1qaz@wsx3edc$rfv !qaz2wsx#edc4rfv ihavethepower winteriscoming youshallnotpass livelongandprosper
  nevergonnagiveyouup neverstopexploring imagination somewhereovertherainbow happilyeverafter liveforthemoment carpediemcarpediem
  e10adc3949ba59abbe56e057f20f883e 5f4dcc3b5aa765d61d8327deb882cf99 25f9e794323b453885f5181f1b624d0b d8578edf8458ce06fbc5bb76a58c5ca4
  d41d8cd98f00b204e9800998ecf8427e 827ccb0eea8a706c4c34a16891f84e7b 7c4a8d09ca3762af61e59520943dc26494f8941b
  5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8 da39a3ee5e6b4b0d3255bfef95601890afd80709 0123456789abcdef 0123456789abcdeffedcba9876543210
  123456789abcdef deadbeefdeadbeef cafebabedeadbeef 00000000-0000-0000-0000-000000000000`),
);
